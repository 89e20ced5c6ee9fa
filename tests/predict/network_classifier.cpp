#include "predict/network_classifier.hpp"

#include <cstring>

#include "cpu/backend.hpp"
#include "predict/small_network.hpp"
#include "predict/window_feeder.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"
#include "support/small_raster.hpp"

using namespace terrane;
using predict::NetworkClassifier;
using test::SyntheticScene;

namespace {

constexpr std::int64_t window = 64;

/// Reads the windows of a scene into one batch.
std::unique_ptr<predict::WindowBatch> read_windows(predict::SceneSource& scene, std::int64_t capacity) {
    const predict::WindowAxis rows({scene.height(), window, 32, 2, predict::Blend::hann});
    const predict::WindowAxis columns({scene.width(), window, 32, 2, predict::Blend::hann});
    const predict::WindowGrid grid{rows, columns};
    std::vector<std::unique_ptr<predict::WindowBatch>> batches;
    for (int i = 0; i < 2; ++i) {
        batches.push_back(std::make_unique<predict::WindowBatch>(scene.modalities(), window, capacity));
    }
    predict::WindowFeeder feeder(scene, grid, {{0, scene.height()}, {0, scene.width()}}, batches);
    const predict::WindowBatch* first = feeder.next();
    REQUIRE(first != nullptr);
    for (auto& batch : batches) {
        if (batch.get() == first) return std::move(batch);
    }
    return nullptr;
}

/// The windows from `first` on as a batch of their own.
predict::WindowBatch part_of(const predict::WindowBatch& all, predict::SceneSource& scene, std::size_t first,
                             std::size_t count, std::int64_t capacity) {
    predict::WindowBatch part(scene.modalities(), window, capacity);
    for (std::size_t i = first; i < first + count; ++i) {
        const predict::InputWindow& from = all.windows()[i];
        predict::InputWindow& to = part.next();
        std::ranges::copy(from.validity, to.validity.begin());
        for (std::size_t m = 0; m < from.modalities.size(); ++m) {
            std::ranges::copy(from.modalities[m].values, to.modalities[m].values.begin());
            std::ranges::copy(from.modalities[m].validity, to.modalities[m].validity.begin());
            to.modalities[m].valid_pixels = from.modalities[m].valid_pixels;
        }
        part.keep_next();
    }
    return part;
}

/// Only "optical".
class OpticalOnly final : public predict::SceneSource {
  public:
    std::int64_t height() const override { return inner_.height(); }
    std::int64_t width() const override { return inner_.width(); }
    const std::vector<predict::SourceModality>& modalities() const override { return modalities_; }
    void read(std::size_t, predict::Range rows, predict::Range columns, std::span<std::byte> values,
              std::span<std::uint8_t> validity) override {
        inner_.read(0, rows, columns, values, validity);
    }
    std::vector<predict::SourceModality> modalities_{{"optical", DType::u8, 3, 1}};

  private:
    SyntheticScene inner_{128, 160};
};

}  // namespace

TEST_CASE("a window's probabilities have the same bits at every place of a batch and in every company") {
    const auto backend = cpu::make_cpu_backend();
    SyntheticScene scene(128, 160);
    const auto all = read_windows(scene, 8);
    NetworkClassifier network(test::small_design(window, 8), *backend);
    test::fill(network, 3);
    network.bind(scene);
    const std::size_t values = window * window * 3;
    const std::span<const float> together = network.classify(*all);
    const std::vector<float> expected(together.begin(), together.end());
    double smallest = 1, largest = 0;
    for (const float p : expected) {
        smallest = std::min(smallest, static_cast<double>(p));
        largest = std::max(largest, static_cast<double>(p));
    }
    CHECK(largest - smallest > 0.01);

    for (std::size_t i = 0; i < all->windows().size(); ++i) {
        const predict::WindowBatch lone = part_of(*all, scene, i, 1, 8);
        const std::span<const float> result = network.classify(lone);
        CHECK(std::memcmp(result.data(), expected.data() + i * values, values * sizeof(float)) == 0);
    }
}

TEST_CASE("the cpu network's probabilities are those of the reference") {
    const auto cpu_backend = cpu::make_cpu_backend();
    const auto ref_backend = ref::make_ref_backend();
    SyntheticScene scene(70, 66);
    const auto windows = read_windows(scene, 2);
    std::vector<std::vector<float>> results;
    for (device::Backend* backend : {cpu_backend.get(), ref_backend.get()}) {
        NetworkClassifier network(test::small_design(window, 2), *backend);
        test::fill(network, 3);
        network.bind(scene);
        const std::span<const float> result = network.classify(*windows);
        results.emplace_back(result.begin(), result.end());
    }
    float worst = 0;
    for (std::size_t i = 0; i < results[0].size(); ++i)
        worst = std::max(worst, std::abs(results[0][i] - results[1][i]));
    CHECK(worst < 1e-4f);
}

TEST_CASE("a modality that the scene lacks is withheld, whatever its numbers would be") {
    const auto backend = cpu::make_cpu_backend();
    SyntheticScene whole(128, 160);
    OpticalOnly optical;
    NetworkClassifier network(test::small_design(window, 1), *backend);
    test::fill(network, 3);

    network.bind(optical);
    const auto without = read_windows(optical, 1);
    const std::span<const float> a = network.classify(*without);
    const std::vector<float> expected(a.begin(), a.end());

    // The same window where the height is there but not valid anywhere, and holds numbers.
    network.bind(whole);
    auto invalid = read_windows(whole, 1);
    for (auto& tile : invalid->all()[0].modalities) {
        if (tile.validity.size() == static_cast<std::size_t>(window * window)) continue;
        std::ranges::fill(tile.validity, std::uint8_t{0});
        tile.valid_pixels = 0;
    }
    const std::span<const float> b = network.classify(*invalid);
    CHECK(std::equal(b.begin(), b.end(), expected.begin()));
}

TEST_CASE("a relative modality does not change when all its heights rise") {
    const auto backend = cpu::make_cpu_backend();
    predict::ClassifierDesign design = test::small_design(window, 1);
    design.modalities[1].base = [](std::span<const std::byte> values, std::span<const std::uint8_t>,
                                   DType stored) {
        REQUIRE(stored == DType::f32);
        float first = 0;
        std::memcpy(&first, values.data(), sizeof first);
        return first;
    };
    SyntheticScene scene(128, 160);
    NetworkClassifier network(design, *backend);
    test::fill(network, 3);
    network.bind(scene);
    auto batch = read_windows(scene, 1);
    predict::InputTile& height = batch->all()[0].modalities[1];
    std::ranges::fill(height.validity, std::uint8_t{1});
    height.valid_pixels = static_cast<std::int64_t>(height.validity.size());
    const std::span<const float> before = network.classify(*batch);
    const std::vector<float> expected(before.begin(), before.end());
    auto* heights = reinterpret_cast<float*>(height.values.data());
    for (std::size_t i = 0; i < height.validity.size(); ++i) heights[i] += 128;
    const std::span<const float> after = network.classify(*batch);
    CHECK(std::equal(after.begin(), after.end(), expected.begin()));
    heights[height.validity.size() / 2] += 50;
    const std::span<const float> bumped = network.classify(*batch);
    CHECK_FALSE(std::equal(bumped.begin(), bumped.end(), expected.begin()));
}

TEST_CASE("a scene whose bands or scale are not those of the training is refused") {
    const auto backend = cpu::make_cpu_backend();
    NetworkClassifier network(test::small_design(window, 1), *backend);
    OpticalOnly scene;
    scene.modalities_[0].bands = 4;
    CHECK(test::error_of([&] { network.bind(scene); }).number() == 545);
    scene.modalities_[0] = {"optical", DType::u8, 3, 2};
    CHECK(test::error_of([&] { network.bind(scene); }).number() == 545);
    scene.modalities_[0] = {"radar", DType::u8, 3, 1};
    CHECK(test::error_of([&] { network.bind(scene); }).number() == 545);
}

TEST_CASE("a window's symmetries are averaged: a turned window gets the turned answer") {
    const auto backend = cpu::make_cpu_backend();
    SyntheticScene scene(128, 160);
    auto windows = read_windows(scene, 2);
    predict::ClassifierDesign design = test::small_design(window, 2);
    const std::size_t pixels = window * window, classes = 3;
    const auto answers = [&](const std::string& symmetries) {
        design.symmetries = symmetries;
        NetworkClassifier network(design, *backend);
        test::fill(network, 3);
        network.bind(scene);
        const std::span<const float> result = network.classify(*windows);
        return std::vector<float>(result.begin(),
                                  result.begin() + static_cast<std::ptrdiff_t>(2 * pixels * classes));
    };
    // The answers before and after a quarter turn or a mirror of everything that the network sees.
    for (const std::int64_t turn : {0, 1}) {
        const auto before_all = answers("all"), before_none = answers("none"),
                   before_mirror = answers("mirror");
        const auto moved = [&](std::int64_t row, std::int64_t column, std::int64_t edge) {
            return turn == 0 ? row * edge + (edge - 1 - column) : column * edge + (edge - 1 - row);
        };
        for (predict::InputWindow& input : windows->all()) {
            for (predict::InputTile& tile : input.modalities) {
                const auto edge = static_cast<std::int64_t>(std::lround(std::sqrt(tile.validity.size())));
                const std::size_t pixel = tile.values.size() / tile.validity.size();
                const std::vector<std::byte> values(tile.values.begin(), tile.values.end());
                const std::vector<std::uint8_t> mask(tile.validity.begin(), tile.validity.end());
                for (std::int64_t row = 0; row < edge; ++row) {
                    for (std::int64_t column = 0; column < edge; ++column) {
                        const auto from = static_cast<std::size_t>(row * edge + column);
                        const auto to = static_cast<std::size_t>(moved(row, column, edge));
                        tile.validity[to] = mask[from];
                        std::memcpy(tile.values.data() + to * pixel, values.data() + from * pixel, pixel);
                    }
                }
            }
        }
        const auto difference = [&](const std::vector<float>& before, const std::vector<float>& after) {
            float worst = 0;
            for (std::size_t w = 0; w < 2; ++w) {
                for (std::int64_t row = 0; row < window; ++row) {
                    for (std::int64_t column = 0; column < window; ++column) {
                        const auto from = w * pixels + static_cast<std::size_t>(row * window + column);
                        const auto to = w * pixels + static_cast<std::size_t>(moved(row, column, window));
                        for (std::size_t c = 0; c < classes; ++c)
                            worst = std::max(worst,
                                             std::abs(before[from * classes + c] - after[to * classes + c]));
                    }
                }
            }
            return worst;
        };
        CHECK(difference(before_all, answers("all")) < 1e-5f);
        CHECK(difference(before_none, answers("none")) > 1e-3f);
        if (turn == 0) {
            CHECK(difference(before_mirror, answers("mirror")) < 1e-5f);
        } else {
            CHECK(difference(before_mirror, answers("mirror")) > 1e-3f);
        }
    }
}

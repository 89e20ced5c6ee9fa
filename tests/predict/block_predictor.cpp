#include "predict/block_predictor.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "predict/synthetic_scene.hpp"
#include "support/catch.hpp"

using namespace terrane::predict;
using terrane::test::PlaceClassifier;
using terrane::test::SyntheticScene;

namespace {

struct Picture {
    std::vector<float> probabilities;
    std::vector<std::uint8_t> validity;
    std::int64_t windows = 0;
};

std::vector<std::unique_ptr<WindowBatch>> make_batches(const SceneSource& source,
                                                       const WindowClassifier& classifier) {
    std::vector<std::unique_ptr<WindowBatch>> batches;
    for (int i = 0; i < 2; ++i) {
        batches.push_back(
            std::make_unique<WindowBatch>(source.modalities(), classifier.window(), classifier.batch()));
    }
    return batches;
}

WindowGrid grid_of(const SceneSource& scene, std::int64_t window, std::int64_t stride) {
    return {WindowAxis({scene.height(), window, stride, 2, Blend::hann}),
            WindowAxis({scene.width(), window, stride, 2, Blend::hann})};
}

Picture picture_of(SceneSource& scene, std::int64_t window, std::int64_t stride, std::int64_t batch,
                   std::int64_t block_rows, std::int64_t block_columns) {
    PlaceClassifier classifier(window, batch);
    auto batches = make_batches(scene, classifier);
    const WindowGrid grid = grid_of(scene, window, stride);
    Picture picture;
    picture.probabilities.resize(static_cast<std::size_t>(scene.height() * scene.width() * 3));
    picture.validity.resize(static_cast<std::size_t>(scene.height() * scene.width()));
    for (std::int64_t y = 0; y < scene.height(); y += block_rows) {
        for (std::int64_t x = 0; x < scene.width(); x += block_columns) {
            const Block block{{y, std::min(y + block_rows, scene.height())},
                              {x, std::min(x + block_columns, scene.width())}};
            std::int64_t done = 0;
            const BlockWork work = predict_block(
                scene, classifier, grid, block, batches,
                [&](const BlendedRow& row) {
                    const std::int64_t first = row.row * scene.width() + x;
                    std::ranges::copy(row.probabilities, picture.probabilities.begin() + first * 3);
                    std::ranges::copy(row.validity, picture.validity.begin() + first);
                },
                [&](const BlockWork& so_far) { done = so_far.windows; });
            CHECK(done == work.windows);
            picture.windows += work.windows;
        }
    }
    return picture;
}

/// Fails while reading.
class BrokenScene final : public SceneSource {
  public:
    std::int64_t height() const override { return 500; }
    std::int64_t width() const override { return 300; }
    const std::vector<SourceModality>& modalities() const override { return modalities_; }
    void read(std::size_t, Range rows, Range, std::span<std::byte>,
              std::span<std::uint8_t> validity) override {
        if (rows.end > 200)
            throw terrane::Error(terrane::ExitCode::data_invalid, 205, "broken.tif is truncated.");
        std::ranges::fill(validity, std::uint8_t{1});
    }

  private:
    std::vector<SourceModality> modalities_{{"optical", terrane::DType::u8, 3, 1},
                                            {"height", terrane::DType::f32, 1, 2}};
};

}  // namespace

TEST_CASE("a scene's probabilities have the same bits for every block size and batch size") {
    SyntheticScene scene(243, 311);
    const Picture whole = picture_of(scene, 64, 32, 4, 243, 311);
    for (const auto& [batch, rows, columns] :
         {std::tuple{4, 64, 311}, {4, 96, 128}, {3, 100, 75}, {1, 243, 33}, {7, 31, 311}}) {
        const Picture pieces = picture_of(scene, 64, 32, batch, rows, columns);
        CHECK(std::memcmp(whole.probabilities.data(), pieces.probabilities.data(),
                          whole.probabilities.size() * sizeof(float)) == 0);
        CHECK(whole.validity == pieces.validity);
    }
}

TEST_CASE(
    "exactly the pixels with a value in some modality are valid, and windows without one are not computed") {
    SyntheticScene scene(400, 600);
    const Picture picture = picture_of(scene, 32, 16, 4, 400, 600);
    std::int64_t wrong = 0;
    for (std::int64_t y = 0; y < scene.height(); ++y) {
        for (std::int64_t x = 0; x < scene.width(); ++x) {
            const bool valid = picture.validity[static_cast<std::size_t>(y * scene.width() + x)] != 0;
            if (valid != scene.any_valid(y, x)) ++wrong;
        }
    }
    CHECK(wrong == 0);
    const WindowGrid grid = grid_of(scene, 32, 16);
    CHECK(picture.windows < grid.count());
    CHECK(picture.windows > grid.count() / 2);
}

TEST_CASE("a scene smaller than a window and one pixel wide strips come out whole") {
    for (const auto& [height, width] : {std::pair{5, 7}, {1, 1}, {64, 3}, {1, 200}}) {
        SyntheticScene scene(height, width);
        const Picture picture = picture_of(scene, 64, 32, 4, height, width);
        for (std::int64_t i = 0; i < height * width; ++i) {
            const bool valid = scene.any_valid(i / width, i % width);
            if (valid != (picture.validity[static_cast<std::size_t>(i)] != 0))
                FAIL(height << " x " << width << ", pixel " << i);
            const float* p = picture.probabilities.data() + i * 3;
            if (valid && std::abs(p[0] + p[1] + p[2] - 1) > 1e-5f)
                FAIL("probabilities sum to " << p[0] + p[1] + p[2]);
        }
    }
}

TEST_CASE("an error of the reading thread reaches the caller, and giving up early stops the thread") {
    BrokenScene scene;
    PlaceClassifier classifier(64, 2);
    auto batches = make_batches(scene, classifier);
    const WindowGrid grid = grid_of(scene, 64, 32);
    const Block block{{0, 500}, {0, 300}};
    CHECK_THROWS_WITH(
        predict_block(
            scene, classifier, grid, block, batches, [](const BlendedRow&) {}, [](const BlockWork&) {}),
        terrane::test::contains("broken.tif is truncated"));
    CHECK_THROWS_WITH(
        predict_block(
            scene, classifier, grid, block, batches,
            [](const BlendedRow&) { throw std::runtime_error("the disk is full"); }, [](const BlockWork&) {}),
        terrane::test::contains("the disk is full"));
}

#include "predict/map_products.hpp"

#include <signal.h>
#include <sys/resource.h>

#include <fstream>

#include "base/process_memory.hpp"
#include "predict/map_support.hpp"
#include "raster/describe.hpp"
#include "raster/reader.hpp"
#include "support/catch.hpp"
#include "support/small_raster.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using predict::MapProducts;
using test::SyntheticScene;

namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20;

/// The pixels of a raster as stored.
template <typename T>
std::vector<T> read_all(const std::filesystem::path& file, const raster::Grid& grid,
                        std::vector<std::uint8_t>& mask) {
    raster::Source source;
    source.table = "test";
    source.files = {file};
    raster::AlignedReader reader(source, grid);
    std::vector<T> values(static_cast<std::size_t>(grid.width * grid.height * reader.bands()));
    mask.resize(static_cast<std::size_t>(grid.width * grid.height));
    reader.read(grid.whole(), std::as_writable_bytes(std::span(values)), mask);
    return values;
}

}  // namespace

TEST_CASE(
    "the map holds class ids where a modality is valid and nodata elsewhere; the other products agree with "
    "it") {
    const test::TemporaryFolder folder;
    SyntheticScene scene(401, 533);
    MapProducts products = test::products_for(folder.path() / "map.tif");
    products.confidence = products.entropy = products.scores = true;
    const auto self = comm::self_communicator();
    test::predict_synthetic(scene, products, 64, 4, 500 * megabyte, *self);

    const raster::Grid grid = test::scene_grid(scene);
    std::vector<std::uint8_t> map_mask, confidence_mask, entropy_mask, scores_mask;
    const auto map = read_all<std::uint8_t>(products.map, grid, map_mask);
    const auto confidence = read_all<std::uint8_t>(products.confidence_path(), grid, confidence_mask);
    const auto entropy = read_all<std::uint8_t>(products.entropy_path(), grid, entropy_mask);
    const auto scores = read_all<float>(products.scores_path(), grid, scores_mask);
    const std::array<std::uint8_t, 3> ids{7, 2, 0};
    std::int64_t wrong = 0, invalid = 0, doubts = 0;
    std::array<std::int64_t, 3> seen{};
    for (std::int64_t i = 0; i < grid.width * grid.height; ++i) {
        const auto pixel = static_cast<std::size_t>(i);
        const bool valid = scene.any_valid(i / grid.width, i % grid.width);
        if (!valid) ++invalid;
        if (valid != (map_mask[pixel] != 0) || valid != (confidence_mask[pixel] != 0) ||
            valid != (entropy_mask[pixel] != 0) || valid != (scores_mask[pixel] != 0)) {
            ++wrong;
            continue;
        }
        if (!valid) continue;
        const float* score = scores.data() + pixel * 3;
        const std::size_t best = static_cast<std::size_t>(std::max_element(score, score + 3) - score);
        ++seen[best];
        if (map[pixel] != ids[best]) ++wrong;
        if (confidence[pixel] != std::lround(score[best] * 100)) ++wrong;
        if (std::abs(score[0] + score[1] + score[2] - 1) > 1e-5f) ++wrong;
        double doubt = 0;
        for (int c = 0; c < 3; ++c) doubt -= score[c] > 0 ? score[c] * std::log(score[c]) / std::log(3.0) : 0;
        if (std::abs(entropy[pixel] - 100 * doubt) > 0.5 + 1e-3) ++wrong;
        doubts += entropy[pixel] > 10 && entropy[pixel] < 90;
    }
    CHECK(wrong == 0);
    CHECK(invalid > 1000);
    CHECK(doubts > 1000);
    for (const std::int64_t count : seen) CHECK(count > 1000);

    const raster::RasterInfo info = raster::describe(products.map);
    for (std::size_t i = 0; i < 6; ++i) CHECK(std::abs(info.grid.transform[i] - grid.transform[i]) < 1e-9);
    CHECK(raster::same_crs(info.grid.crs, grid.crs));
    CHECK(info.category_names[7] == "building");
    CHECK(info.palette[2] == std::array<int, 4>{0, 200, 0, 255});
}

TEST_CASE("small regions leave the map and nothing else") {
    const test::TemporaryFolder folder;
    SyntheticScene scene(300, 260);
    const raster::Grid grid = test::scene_grid(scene);
    const auto self = comm::self_communicator();
    MapProducts plain = test::products_for(folder.path() / "plain.tif");
    MapProducts sieved = test::products_for(folder.path() / "sieved.tif");
    plain.scores = sieved.scores = true;
    sieved.smallest_region = 12;
    std::vector<std::uint8_t> before_mask, after_mask;
    for (const MapProducts* products : {&plain, &sieved})
        test::predict_synthetic(scene, *products, 64, 4, 500 * megabyte, *self);
    const auto before = read_all<std::uint8_t>(plain.map, grid, before_mask);
    const auto after = read_all<std::uint8_t>(sieved.map, grid, after_mask);
    CHECK(before_mask == after_mask);
    CHECK(before != after);
    CHECK(test::bytes_of(plain.scores_path()) == test::bytes_of(sieved.scores_path()));
    // Lone pixels: no neighbour to the four sides has their class.
    const auto lone = [&](const std::vector<std::uint8_t>& map, const std::vector<std::uint8_t>& mask) {
        std::int64_t count = 0;
        for (std::int64_t y = 1; y + 1 < grid.height; ++y) {
            for (std::int64_t x = 1; x + 1 < grid.width; ++x) {
                const auto at = [&](std::int64_t row, std::int64_t column) {
                    return static_cast<std::size_t>(row * grid.width + column);
                };
                bool alone = mask[at(y, x)] != 0, neighbours = false;
                for (const std::size_t other : {at(y - 1, x), at(y + 1, x), at(y, x - 1), at(y, x + 1)}) {
                    neighbours = neighbours || mask[other] != 0;
                    alone = alone && (mask[other] == 0 || map[other] != map[at(y, x)]);
                }
                count += alone && neighbours ? 1 : 0;
            }
        }
        return count;
    };
    CHECK(lone(before, before_mask) > 20);
    CHECK(lone(after, after_mask) == 0);
    CHECK(raster::describe(sieved.map).category_names[7] == "building");
}

TEST_CASE("outputs that exist are refused before any work unless they may be replaced") {
    const test::TemporaryFolder folder;
    MapProducts products = test::products_for(folder.path() / "map.tif");
    products.confidence = true;
    products.check(MapProducts::Existing::refuse);
    std::ofstream(products.confidence_path()) << "something";
    const Error error = test::error_of([&] { products.check(MapProducts::Existing::refuse); });
    CHECK(error.exit_code() == ExitCode::cannot_create);
    CHECK_THAT(error.message(), test::contains("map.confidence.tif"));
    products.check(MapProducts::Existing::replace);
    products.map = folder.path() / "no" / "map.tif";
    CHECK_THROWS_AS(products.check(MapProducts::Existing::replace), Error);
    products.map = folder.path() / "map";
    CHECK_THROWS_AS(products.check(MapProducts::Existing::replace), Error);
}

TEST_CASE("an error in the middle of a scene leaves an older map as it was and no temporaries") {
    class Broken final : public predict::SceneSource {
      public:
        std::int64_t height() const override { return inner_.height(); }
        std::int64_t width() const override { return inner_.width(); }
        const std::vector<predict::SourceModality>& modalities() const override {
            return inner_.modalities();
        }
        void read(std::size_t m, predict::Range rows, predict::Range columns, std::span<std::byte> values,
                  std::span<std::uint8_t> validity) override {
            if (rows.end > 300) throw Error(ExitCode::data_invalid, 205, "a.tif is truncated.");
            inner_.read(m, rows, columns, values, validity);
        }

      private:
        SyntheticScene inner_{500, 400};
    };
    const test::TemporaryFolder folder;
    const MapProducts products = test::products_for(folder.path() / "map.tif");
    std::ofstream(products.map) << "older";
    Broken scene;
    const auto self = comm::self_communicator();
    CHECK(test::error_of([&] {
              test::predict_synthetic(scene, products, 64, 4, 500 * megabyte, *self);
          }).number() == 205);
    CHECK(test::bytes_of(products.map) == "older");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a full disk ends with exit code 74, an older map as it was and no temporaries") {
    const test::TemporaryFolder folder;
    MapProducts products = test::products_for(folder.path() / "map.tif");
    products.scores = true;
    std::ofstream(products.map) << "older";
    SyntheticScene scene(900, 900);
    const auto self = comm::self_communicator();
    // A limit on the size of files stands in for the full disk: writes fail with an error in the same way.
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto handler = signal(SIGXFSZ, SIG_IGN);
    const rlimit small{1 << 20, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    std::optional<Error> error;
    try {
        test::predict_synthetic(scene, products, 64, 4, 500 * megabyte, *self);
    } catch (const Error& thrown) {
        error = thrown;
    }
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    REQUIRE(error);
    CHECK(error->exit_code() == ExitCode::io_error);
    CHECK(test::bytes_of(products.map) == "older");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

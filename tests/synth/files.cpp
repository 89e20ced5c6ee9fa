#include <omp.h>

#include <cmath>
#include <fstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "raster/coordinate_transform.hpp"
#include "raster/describe.hpp"
#include "raster/reader.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "synth/placement.hpp"
#include "synth/scene_writer.hpp"

using namespace terrane;
using namespace terrane::synth;

namespace {

constexpr const char* files[] = {"optical.tif", "labels.tif",    "labels_rgb.tif",    "height.tif", "sar.tif",
                                 "scene.toml",  "scribbles.tif", "pseudo_labels.tif", "weak.toml"};

std::vector<std::string> hashes_of_scene(const SceneOptions& options) {
    const test::TemporaryFolder folder;
    write_scene(folder.path(), options);
    std::vector<std::string> hashes;
    for (const char* file : files) hashes.push_back(sha256_of_file(folder.path() / file));
    return hashes;
}

std::vector<float> read_all(const std::filesystem::path& file, const raster::Grid& grid) {
    raster::Source source;
    source.table = "test";
    source.files = {file};
    raster::AlignedReader reader(source, grid);
    std::vector<float> values(static_cast<std::size_t>(grid.whole().pixels()));
    std::vector<std::uint8_t> mask(values.size());
    reader.read(grid.whole(), std::as_writable_bytes(std::span(values)), mask);
    for (std::size_t k = 0; k < values.size(); ++k)
        if (mask[k] == 0) values[k] = height_nodata;
    return values;
}

SceneOptions small_scene() {
    SceneOptions options;
    options.size = 700;
    options.seed = 7;
    options.labels = LabelFiles::index_and_rgb;
    options.weak_labels = WeakLabels::yes;
    return options;
}

}  // namespace

TEST_CASE("a scene's bytes depend on neither threads nor stripes", "[synth]") {
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    const std::vector<std::string> one = hashes_of_scene(small_scene());
    omp_set_num_threads(3);
    const std::vector<std::string> three = hashes_of_scene(small_scene());
    omp_set_num_threads(threads);
    CHECK(one == three);
    // With stripes that cut compressed blocks the files' inner order may differ, the pixels may not: stripes
    // of one block and of two.
    SceneOptions wide = small_scene();
    wide.stripe_rows = 1024;
    CHECK(hashes_of_scene(wide) == one);
}

TEST_CASE("the rasters of a scene are on different grids and cover it", "[synth]") {
    const test::TemporaryFolder folder;
    const SceneOptions options = small_scene();
    const SceneSummary summary = write_scene(folder.path(), options);
    CHECK(summary.optical_pixels == 700 * 700);

    const raster::RasterInfo optical = raster::describe(folder.path() / "optical.tif");
    const raster::RasterInfo height = raster::describe(folder.path() / "height.tif");
    const raster::RasterInfo sar = raster::describe(folder.path() / "sar.tif");
    const raster::RasterInfo labels = raster::describe(folder.path() / "labels.tif");
    CHECK(optical.bands.size() == 4);
    CHECK(optical.bands[0].nodata == 0.0);
    CHECK_FALSE(optical.bands[3].alpha);  // near infrared is no transparency
    CHECK(height.bands[0].nodata == -9999.0);
    CHECK(sar.bands.size() == 2);
    CHECK(labels.bands[0].nodata == 255.0);
    CHECK(labels.category_names.at(5) == "car");
    CHECK(labels.grid == optical.grid);
    CHECK_FALSE(raster::same_crs(height.grid.crs, optical.grid.crs));
    CHECK(raster::same_crs(sar.grid.crs, optical.grid.crs));

    const raster::Bounds scene = optical.grid.bounds();
    const raster::Bounds radar = sar.grid.bounds();
    CHECK(radar.west < scene.west);
    CHECK(radar.east > scene.east);
    CHECK(radar.south < scene.south);
    CHECK(radar.north > scene.north);
    const raster::Bounds in_height = raster::transform_bounds(scene, optical.grid.crs, height.grid.crs);
    const raster::Bounds lidar = height.grid.bounds();
    CHECK(lidar.west < in_height.west);
    CHECK(lidar.east > in_height.east);
    CHECK(lidar.south < in_height.south);
    CHECK(lidar.north > in_height.north);
    CHECK(lidar.east - lidar.west > 1.05 * (scene.east - scene.west));  // it is turned
}

TEST_CASE("heights lie where the other grid says they do", "[synth]") {
    // Read the raster as a foreign program would: a pixel's place comes from its own grid through PROJ alone,
    // and its height must be the landscape's there.
    const test::TemporaryFolder folder;
    const SceneOptions options = small_scene();
    write_scene(folder.path(), options);
    const raster::RasterInfo height = raster::describe(folder.path() / "height.tif");
    const Placement placement = placement_of(options.seed);
    const raster::CoordinateTransform to_scene(height.grid.crs, raster::parse_crs(scene_crs, "test"),
                                               height.grid.bounds());
    const std::vector<float> values = read_all(folder.path() / "height.tif", height.grid);
    const Landscape landscape(options.seed);
    const Neighbourhood neighbourhood(landscape, {-60, -60, 420, 420});
    std::int64_t compared = 0;
    for (std::int64_t row = 30; row < height.grid.height - 30; row += 3) {
        for (std::int64_t column = 30; column < height.grid.width - 30; column += 3) {
            const float value = values[static_cast<std::size_t>(row * height.grid.width + column)];
            if (value == height_nodata) continue;
            std::array<double, 1> x{height.grid.transform[0] + static_cast<double>(column) + 0.5};
            std::array<double, 1> y{height.grid.transform[3] - static_cast<double>(row) - 0.5};
            to_scene.apply(x, y);
            const Point p{x[0] - placement.west, placement.north - y[0]};
            // A wall's edge may fall between the exact and the interpolated position: look at both sides of
            // it.
            float error = 1e9f;
            for (const double dx : {-1e-3, 0.0, 1e-3})
                for (const double dy : {-1e-3, 0.0, 1e-3})
                    error = std::min(error, std::abs(neighbourhood.at({p.x + dx, p.y + dy}).height - value));
            REQUIRE(error < 0.19f);
            ++compared;
        }
    }
    CHECK(compared > 8000);
}

TEST_CASE("a scene of impossible size is a usage error", "[synth]") {
    const test::TemporaryFolder folder;
    for (const std::int64_t size :
         {std::int64_t{-1}, std::int64_t{0}, std::int64_t{255}, std::int64_t{100001}}) {
        SceneOptions options;
        options.size = size;
        try {
            write_scene(folder.path() / "never", options);
            FAIL("accepted");
        } catch (const Error& error) {
            CHECK(error.exit_code() == ExitCode::usage);
        }
        CHECK_FALSE(std::filesystem::exists(folder.path() / "never"));
    }
}

TEST_CASE("an existing scene is kept unless it is to be replaced", "[synth]") {
    const test::TemporaryFolder folder;
    SceneOptions options;
    options.size = 256;
    write_scene(folder.path(), options);
    const std::string before = sha256_of_file(folder.path() / "optical.tif");
    options.seed = 3;
    CHECK_THROWS_AS(write_scene(folder.path(), options), Error);
    CHECK(sha256_of_file(folder.path() / "optical.tif") == before);
    options.existing = ExistingScene::replace;
    write_scene(folder.path(), options);
    CHECK(sha256_of_file(folder.path() / "optical.tif") != before);
}

TEST_CASE("a folder that can't be made is named", "[synth]") {
    const test::TemporaryFolder folder;
    std::ofstream(folder.path() / "file") << "x";
    SceneOptions options;
    options.size = 256;
    try {
        write_scene(folder.path() / "file" / "scene", options);
        FAIL("accepted");
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::cannot_create);
        CHECK(error.message().find("file/scene") != std::string::npos);
    }
}

namespace {

std::vector<std::uint8_t> classes_of(const std::filesystem::path& file) {
    const raster::Grid grid = raster::describe(file).grid;
    raster::Source source;
    source.table = "test";
    source.files = {file};
    raster::AlignedReader reader(source, grid);
    std::vector<std::uint8_t> values(static_cast<std::size_t>(grid.whole().pixels())), mask(values.size());
    reader.read(grid.whole(), std::as_writable_bytes(std::span(values)), mask);
    for (std::size_t k = 0; k < values.size(); ++k)
        if (mask[k] == 0) values[k] = label_nodata;
    return values;
}

}  // namespace

TEST_CASE("scribbles are sparse, right and of every class; pseudo-labels are dense and partly wrong",
          "[synth]") {
    const test::TemporaryFolder folder;
    SceneOptions options = small_scene();
    options.size = 1200;
    write_scene(folder.path(), options);
    const std::vector<std::uint8_t> truth = classes_of(folder.path() / "labels.tif");
    const std::vector<std::uint8_t> scribbles = classes_of(folder.path() / "scribbles.tif");
    const std::vector<std::uint8_t> pseudo = classes_of(folder.path() / "pseudo_labels.tif");
    REQUIRE(scribbles.size() == truth.size());
    REQUIRE(pseudo.size() == truth.size());
    std::array<std::int64_t, land_cover_count> drawn{}, objects{}, overlooked{};
    std::int64_t right = 0, guessed = 0;
    for (std::size_t k = 0; k < truth.size(); ++k) {
        if (scribbles[k] != label_nodata) {
            REQUIRE(scribbles[k] == truth[k]);
            ++drawn[scribbles[k]];
        }
        if (pseudo[k] == label_nodata || truth[k] == label_nodata) continue;
        ++guessed;
        right += pseudo[k] == truth[k] ? 1 : 0;
        ++objects[truth[k]];
        overlooked[truth[k]] += pseudo[k] != truth[k] ? 1 : 0;
    }
    std::int64_t all = 0;
    for (std::size_t k = 0; k < land_cover_count; ++k) {
        CAPTURE(info(static_cast<LandCover>(k)).name);
        CHECK(drawn[k] > 0);
        CHECK(overlooked[k] > 0);
        all += drawn[k];
    }
    const auto pixels = static_cast<double>(truth.size());
    CHECK(static_cast<double>(all) / pixels > 0.002);
    CHECK(static_cast<double>(all) / pixels < 0.03);
    CHECK(static_cast<double>(guessed) / pixels > 0.8);
    CHECK(static_cast<double>(right) / static_cast<double>(guessed) > 0.6);
    CHECK(static_cast<double>(right) / static_cast<double>(guessed) < 0.95);
    const auto buildings = static_cast<std::size_t>(LandCover::building);
    CHECK(static_cast<double>(overlooked[buildings]) / static_cast<double>(objects[buildings]) > 0.1);
}

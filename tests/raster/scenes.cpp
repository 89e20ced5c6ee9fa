#include <filesystem>

#include "raster/aligned_scene.hpp"
#include "support/catch.hpp"
#include "support/small_raster.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using namespace terrane::raster;
using terrane::test::error_of;
using terrane::test::grid_at;
using terrane::test::write_raster;

namespace {

config::Config two_modalities(const std::filesystem::path& folder) {
    config::Config config;
    config.folder = folder.string();
    config.modalities.resize(2);
    config.modalities[0].name = "optical";
    config.modalities[0].files = {"optical*.tif"};
    config.modalities[1].name = "height";
    config.modalities[1].files = {"height*.tif"};
    config.modalities[1].scale = 2;
    return config;
}

void plain(const std::filesystem::path& file, const Grid& grid) {
    write_raster<std::uint8_t>(file, grid, 1,
                               [](auto c, auto, auto) { return static_cast<std::uint8_t>(c + 1); });
}

}  // namespace

TEST_CASE("one file per modality makes one scene, on grids that share their origin") {
    const test::TemporaryFolder folder;
    plain(folder.path() / "optical.tif", grid_at("EPSG:32633", 500000, 5400000, 1, 65, 33));
    plain(folder.path() / "height.tif", grid_at("EPSG:32633", 499990, 5400010, 2, 80, 80));
    const config::Config config = two_modalities(folder.path());
    const auto scenes = find_scenes(config, LabelUse::ignored);
    REQUIRE(scenes.size() == 1);
    REQUIRE(scenes[0].id == "optical");
    AlignedScene scene(config, scenes[0], LabelUse::ignored);
    REQUIRE(scene.grid().width == 65);
    REQUIRE(scene.modality(1).grid().width == 33);
    std::vector<std::uint8_t> values(16 * 8), mask(16 * 8);
    REQUIRE(scene.read(1, {0, 0, 32, 16}, std::as_writable_bytes(std::span(values)), mask).valid == 128);
    REQUIRE(values[0] == 6);  // 10 m east of the raster's origin
}

TEST_CASE("several files are matched by stem or expression, and a missing partner is named") {
    const test::TemporaryFolder folder;
    const Grid grid = grid_at("EPSG:32633", 500000, 5400000, 1, 32, 32);
    for (const char* name : {"optical_a.tif", "optical_b.tif", "height_a.tif"})
        plain(folder.path() / name, grid);
    config::Config config = two_modalities(folder.path());
    config.modalities[0].scene = "optical_(.)";
    config.modalities[1].scene = "height_(.)";
    const Error missing = error_of([&] { find_scenes(config, LabelUse::ignored); });
    REQUIRE(missing.number() == 312);
    REQUIRE(missing.message().find("scene 'b'") != std::string::npos);
    REQUIRE(missing.message().find("'height'") != std::string::npos);
    plain(folder.path() / "height_b.tif", grid);
    REQUIRE(find_scenes(config, LabelUse::ignored).size() == 2);

    // As in ISPRS Potsdam: one product pads its numbers with zeros, the other does not.
    for (const char* name : {"top_2_10.tif", "top_3_7.tif", "dsm_02_10.tif", "dsm_03_07.tif"})
        plain(folder.path() / name, grid);
    config.modalities[0].files = {"top_*.tif"};
    config.modalities[1].files = {"dsm_*.tif"};
    config.modalities[0].scene = config.modalities[1].scene = "_0?(\\d+)_0?(\\d+)\\.tif";
    const auto numbered = find_scenes(config, LabelUse::ignored);
    REQUIRE(numbered.size() == 2);
    REQUIRE(numbered[0].id == "2_10");
    REQUIRE(numbered[1].id == "3_7");
    config.modalities[1].files = {"missing*.tif"};
    REQUIRE(error_of([&] { find_scenes(config, LabelUse::ignored); }).exit_code() == ExitCode::input_missing);
}

TEST_CASE("modalities that do not overlap are refused by name") {
    const test::TemporaryFolder folder;
    plain(folder.path() / "optical.tif", grid_at("EPSG:32633", 500000, 5400000, 1, 32, 32));
    plain(folder.path() / "height.tif", grid_at("EPSG:32633", 510000, 5400000, 1, 32, 32));
    const config::Config config = two_modalities(folder.path());
    const Error error =
        error_of([&] { AlignedScene(config, find_scenes(config, LabelUse::ignored)[0], LabelUse::ignored); });
    REQUIRE(error.number() == 208);
    REQUIRE(error.message().find("height.tif") != std::string::npos);
}

TEST_CASE("the reference grid follows resolution, CRS and extent") {
    const test::TemporaryFolder folder;
    plain(folder.path() / "optical.tif", grid_at("EPSG:32633", 500000, 5400000, 2, 100, 50));
    plain(folder.path() / "height.tif", grid_at("EPSG:32633", 500000, 5400000, 2, 100, 50));
    config::Config config = two_modalities(folder.path());
    const SceneFiles files = find_scenes(config, LabelUse::ignored)[0];
    config.grid.resolution = 4;
    REQUIRE(reference_grid(config, files).width == 50);
    config.grid.resolution = 0;
    config.grid.extent = {500020, 5399950, 500100, 5399990};
    const Grid part = reference_grid(config, files);
    REQUIRE(part.width == 40);
    REQUIRE(part.height == 20);
    REQUIRE(part.transform[0] == 500020);
    config.grid.extent.clear();
    config.grid.crs = "EPSG:25833";
    REQUIRE(error_of([&] { reference_grid(config, files); }).number() == 209);
    config.grid.resolution = 5;
    const Grid other = reference_grid(config, files);
    REQUIRE(std::abs(std::remainder(other.transform[0], 5.0)) < 1e-9);
}

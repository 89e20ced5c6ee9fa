// crs = "pixels": pictures without a place on the ground.
#include "raster/placement.hpp"
#include "scene.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using namespace terrane::tiles;
using terrane::test::error_of;
using terrane::test::write_raster;

namespace {

raster::Grid picture(std::int64_t edge) {
    return {raster::parse_crs("pixels", "test"), {0, 1, 0, 0, 0, -1}, edge, edge};
}

/// A picture of 64 x 64 pixels, its height at half of that, and its labels, 1 left and 2 right.
void write_pictures(const std::filesystem::path& folder, const std::string& name) {
    write_raster<std::uint8_t>(
        folder / ("optical_" + name + ".tif"), picture(64), 1,
        [](auto c, auto r, auto) { return static_cast<std::uint8_t>(1 + (c * 3 + r * 5) % 250); });
    write_raster<float>(folder / ("height_" + name + ".tif"), picture(32), 1, [](auto c, auto r, auto) {
        return static_cast<float>(c) + 100 * static_cast<float>(r);
    });
    write_raster<std::uint8_t>(folder / ("label_" + name + ".tif"), picture(64), 1,
                               [](auto c, auto, auto) { return static_cast<std::uint8_t>(c < 32 ? 1 : 2); });
}

config::Config pictures_config(const std::filesystem::path& folder) {
    config::Config config = test::scene_config(folder);
    config.modalities[1].relative = false;
    for (config::Modality& modality : config.modalities) modality.crs = "pixels";
    config.label.crs = "pixels";
    config.classes.resize(2);
    config.split.method = "files";
    config.split.files = {{"a", "train"}, {"b", "test"}};
    return config;
}

}  // namespace

TEST_CASE("pictures without a place become tiles, pixel by pixel and each scene on ground of its own") {
    const test::TemporaryFolder folder;
    write_pictures(folder.path(), "a");
    write_pictures(folder.path(), "b");
    REQUIRE(raster::describe(folder.path() / "optical_a.tif").grid.crs.empty());
    REQUIRE_FALSE(raster::describe(folder.path() / "optical_a.tif").has_transform);
    build(pictures_config(folder.path()), folder.path() / "tiles", {});
    const TileStore store(folder.path() / "tiles");
    REQUIRE(store.tiles_of(Split::train).size() == 4);
    REQUIRE(store.tiles_of(Split::test).size() == 4);
    REQUIRE(store.class_pixels(Split::test) == std::vector<std::int64_t>{2048, 2048});
    for (const SceneRecord& scene : store.manifest().scenes) {
        REQUIRE(raster::is_pixel_coordinates(scene.grid.crs));
        REQUIRE(scene.grid.transform == std::array<double, 6>{0, 1, 0, 0, 0, -1});
    }
    TileMemory memory(store.manifest());
    TileReader reader(store);
    for (const std::int64_t index : store.tiles_of(Split::train)) {
        reader.read(index, memory.buffers());
        const raster::Window& window = store.tile(index).window;
        const auto* optical = reinterpret_cast<const std::uint8_t*>(memory.values[0].data());
        const auto* height = reinterpret_cast<const float*>(memory.values[1].data());
        for (std::int64_t row = 0; row < 32; ++row) {
            for (std::int64_t column = 0; column < 32; ++column) {
                const std::int64_t c = window.column + column, r = window.row + row;
                REQUIRE(optical[row * 32 + column] == 1 + (c * 3 + r * 5) % 250);
                REQUIRE(height[row / 2 * 16 + column / 2] ==
                        static_cast<float>(c / 2) + 100 * static_cast<float>(r / 2));
            }
        }
    }
}

TEST_CASE("pictures without a place can't be a mosaic, and nothing is guessed without crs = pixels") {
    const test::TemporaryFolder folder;
    write_pictures(folder.path(), "a");
    write_pictures(folder.path(), "b");
    config::Config config = pictures_config(folder.path());
    config.modalities[0].crs.clear();
    REQUIRE_THAT(error_of([&] { build(config, folder.path() / "tiles", {}); }).what(),
                 test::contains("E0203"));
    config.modalities[0].crs = "EPSG:32633";
    REQUIRE_THAT(error_of([&] { build(config, folder.path() / "tiles", {}); }).what(),
                 test::contains("E0204"));
    const std::vector<std::filesystem::path> both{folder.path() / "optical_a.tif",
                                                  folder.path() / "optical_b.tif"};
    REQUIRE_THAT(error_of([&] { raster::describe_placed(both, "pixels", "[[modality]] optical"); }).what(),
                 test::contains("E0204") && test::contains("side by side"));
}

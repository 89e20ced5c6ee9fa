#pragma once

#include <cmath>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "raster/writer.hpp"
#include "support/small_raster.hpp"
#include "tiles/build.hpp"
#include "tiles/store.hpp"
#include "tiles/tile_memory.hpp"

namespace terrane::test {

/// A scene of 256 x 192 pixels of 1 m: "optical" u8 RGB, "height" f32 at 2 m in the next UTM zone,
/// labels 1..3 in stripes of 16 columns.
inline void write_scene(const std::filesystem::path& folder, const std::string& name, double west,
                        std::int64_t width = 256, std::int64_t height = 192) {
    const raster::Grid grid = grid_at("EPSG:32633", west, 5400000, 1, width, height);
    write_raster<std::uint8_t>(folder / ("optical_" + name + ".tif"), grid, 3, [](auto c, auto r, auto b) {
        return static_cast<std::uint8_t>(1 + (c * 3 + r * 5 + b * 71) % 250);
    });
    const raster::Bounds there =
        raster::transform_bounds(grid.bounds(), grid.crs, raster::parse_crs("EPSG:32632", "test"));
    const raster::Grid other = grid_at("EPSG:32632", std::floor(there.west) - 10, std::ceil(there.north) + 10,
                                       2, static_cast<std::int64_t>((there.east - there.west) / 2) + 12,
                                       static_cast<std::int64_t>((there.north - there.south) / 2) + 12);
    write_raster<float>(folder / ("height_" + name + ".tif"), other, 1, [](auto c, auto r, auto) {
        return static_cast<float>(100 + 0.1 * static_cast<double>(c) +
                                  5 * std::sin(static_cast<double>(r) / 9));
    });
    write_raster<std::uint8_t>(
        folder / ("label_" + name + ".tif"), grid, 1,
        [](auto c, auto, auto) { return static_cast<std::uint8_t>(1 + c / 16 % 3); }, 255.0);
}

inline config::Config scene_config(const std::filesystem::path& folder) {
    config::Config config;
    config.folder = folder.string();
    config.modalities.resize(2);
    config.modalities[0].name = "optical";
    config.modalities[0].files = {"optical_*.tif"};
    config.modalities[0].scene = "optical_(.*)\\.tif";
    config.modalities[1].name = "height";
    config.modalities[1].files = {"height_*.tif"};
    config.modalities[1].scene = "height_(.*)\\.tif";
    config.modalities[1].scale = 2;
    config.modalities[1].relative = true;
    config.label.files = {"label_*.tif"};
    config.label.scene = "label_(.*)\\.tif";
    config.classes = {{1, "one", {255, 0, 0}, 0}, {2, "two", {0, 255, 0}, 0}, {3, "three", {0, 0, 255}, 0}};
    config.grid.tile = 32;
    config.split.block = 1;
    return config;
}

}  // namespace terrane::test

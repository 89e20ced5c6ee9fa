#pragma once

#include <cstdint>
#include <string>

#include "raster/grid.hpp"
#include "synth/sensors.hpp"

namespace terrane::synth {

/// Where on Earth a scene lies: its upper left corner in ETRS89 / UTM zone 32N, in Bavaria, some 100 km west
/// of the border of zone 33. The height raster is in WGS 84 / UTM zone 33N: another datum, and turned by
/// about 4.5 degrees.
struct Placement {
    double west = 0;
    double north = 0;
};
inline constexpr const char* scene_crs = "EPSG:25832";
inline constexpr const char* height_crs = "EPSG:32633";

Placement placement_of(std::uint64_t seed);

/// A grid of scene metres as a georeferenced raster grid.
raster::Grid georeferenced(const PixelGrid& grid, const Placement& placement);

/// The grid of the height raster: 1 m pixels on whole metres of its CRS, 20 m more than the scene on every
/// side.
raster::Grid height_grid(std::int64_t size, const Placement& placement);

}  // namespace terrane::synth

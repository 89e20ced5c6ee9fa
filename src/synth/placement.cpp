#include "synth/placement.hpp"

#include <cmath>

namespace terrane::synth {

Placement placement_of(std::uint64_t seed) {
    PhiloxStream random = cell_stream(seed, Purpose::frame, 2, 0);
    return {680000.0 + 500.0 * random.below(40), 5320000.0 + 500.0 * random.below(160)};
}

raster::Grid georeferenced(const PixelGrid& grid, const Placement& placement) {
    raster::Grid result;
    result.crs = raster::parse_crs(scene_crs, "the synthetic scene");
    result.transform = {placement.west + grid.origin_x,  grid.pixel, 0.0,
                        placement.north - grid.origin_y, 0.0,        -grid.pixel};
    result.width = grid.columns;
    result.height = grid.rows;
    return result;
}

raster::Grid height_grid(std::int64_t size, const Placement& placement) {
    const raster::Grid optical = georeferenced(optical_grid(size), placement);
    raster::Grid result;
    result.crs = raster::parse_crs(height_crs, "the synthetic scene");
    const raster::Bounds bounds = raster::transform_bounds(optical.bounds(), optical.crs, result.crs);
    const double margin = 20.0;
    const double west = std::floor(bounds.west - margin), north = std::ceil(bounds.north + margin);
    result.transform = {west, height_pixel, 0.0, north, 0.0, -height_pixel};
    result.width = static_cast<std::int64_t>(std::ceil((bounds.east + margin - west) / height_pixel));
    result.height = static_cast<std::int64_t>(std::ceil((north - bounds.south + margin) / height_pixel));
    return result;
}

}  // namespace terrane::synth

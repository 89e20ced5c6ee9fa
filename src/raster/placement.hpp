#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "raster/describe.hpp"

namespace terrane::raster {

/// What a configuration's `crs` says of pictures that have no place on the ground: columns and rows are their
/// coordinates, counted from the upper left corner. parse_crs makes a local CRS of it that no other CRS can
/// be transformed to; scenes in it share no ground.
inline constexpr std::string_view pixel_coordinates = "pixels";

/// Whether a CRS in WKT is that local one.
bool is_pixel_coordinates(const std::string& crs);

/// describe() of the rasters of one modality of a scene, placed as they are used: by their own CRS, or by
/// `crs` if it isn't empty. In pixel coordinates a pixel is `scale` units wide. `table` names the
/// configuration's table in messages. Throws also Errors E0203 no CRS, E0204 no geotransform, or several
/// pictures in pixel coordinates.
std::vector<RasterInfo> describe_placed(const std::vector<std::filesystem::path>& files,
                                        const std::string& crs, const std::string& table,
                                        std::int64_t scale = 1);

}  // namespace terrane::raster

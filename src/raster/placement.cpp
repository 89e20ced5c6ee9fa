#include "raster/placement.hpp"

#include "base/error.hpp"

namespace terrane::raster {

bool is_pixel_coordinates(const std::string& crs) {
    static const std::string known = parse_crs(std::string(pixel_coordinates), "pixel coordinates");
    return crs == known;
}

std::vector<RasterInfo> describe_placed(const std::vector<std::filesystem::path>& files,
                                        const std::string& crs, const std::string& table,
                                        std::int64_t scale) {
    const bool in_pixels = crs == pixel_coordinates;
    if (in_pixels && files.size() > 1) {
        throw Error(ExitCode::data_invalid, 204,
                    fmt::format("{} and {} are of one scene, but pictures in pixel coordinates can't be put "
                                "side by side.",
                                files[0].string(), files[1].string()),
                    fmt::format("Give each a scene of its own: scene = '…' in {}.", table));
    }
    std::vector<RasterInfo> result;
    for (const std::filesystem::path& file : files) {
        RasterInfo& info = result.emplace_back(describe(file));
        if (!crs.empty()) info.grid.crs = parse_crs(crs, table + " crs");
        if (in_pixels) {
            const auto edge = static_cast<double>(scale);
            info.grid.transform = {0, edge, 0, 0, 0, -edge};
            info.has_transform = true;
        }
        if (info.grid.crs.empty()) {
            throw Error(ExitCode::data_invalid, 203, fmt::format("{} has no CRS.", file.string()),
                        fmt::format("Add crs=\"EPSG:…\" to {}.", table));
        }
        if (!info.has_transform) {
            throw Error(ExitCode::data_invalid, 204,
                        fmt::format("{} has no geotransform, so its place is unknown.", file.string()),
                        fmt::format("Georeference it (gdalwarp for ground control points, a world file for "
                                    "pictures), or set crs=\"pixels\" in {} for pictures without a place.",
                                    table));
        }
    }
    return result;
}

}  // namespace terrane::raster

#include "predict/map_products.hpp"

#include <limits>

#include "base/error.hpp"

namespace terrane::predict {

namespace {

std::filesystem::path beside(const std::filesystem::path& map, const std::string& ending) {
    std::filesystem::path path = map;
    path.replace_extension(ending);
    return path;
}

raster::RasterFormat map_format(const MapProducts& products) {
    raster::ClassLegend legend;
    for (const MapClass& entry : products.classes)
        legend.entries.push_back({entry.id, entry.name, entry.color});
    return raster::class_map_format(std::move(legend));
}

raster::RasterFormat percent_format(const std::string& band) {
    raster::RasterFormat format;
    format.nodata = map_nodata;
    format.band_names = {band};
    return format;
}

raster::RasterFormat scores_format(const MapProducts& products) {
    raster::RasterFormat format;
    format.dtype = DType::f32;
    format.bands = static_cast<std::int64_t>(products.classes.size());
    format.nodata = std::numeric_limits<double>::quiet_NaN();
    for (const MapClass& entry : products.classes) format.band_names.push_back(entry.name);
    return format;
}

[[noreturn]] void refuse(const std::string& what, const std::string& fix) {
    throw Error(ExitCode::cannot_create, 910, what, fix);
}

}  // namespace

std::vector<Product> MapProducts::rasters() const {
    using Kind = Product::Kind;
    std::vector<Product> rasters{{Kind::map, "map", map, map_format(*this)}};
    if (confidence) {
        rasters.push_back(
            {Kind::confidence, "confidence", confidence_path(), percent_format("confidence, percent")});
    }
    if (entropy) {
        rasters.push_back(
            {Kind::entropy, "entropy", entropy_path(), percent_format("entropy, percent of the largest")});
    }
    if (scores) rasters.push_back({Kind::scores, "scores", scores_path(), scores_format(*this)});
    return rasters;
}

std::filesystem::path MapProducts::confidence_path() const {
    return beside(map, ".confidence.tif");
}

std::filesystem::path MapProducts::entropy_path() const {
    return beside(map, ".entropy.tif");
}

std::filesystem::path MapProducts::scores_path() const {
    return beside(map, ".scores.tif");
}

std::filesystem::path MapProducts::quicklook_path() const {
    return beside(map, ".png");
}

std::vector<std::filesystem::path> MapProducts::files() const {
    std::vector<std::filesystem::path> paths;
    for (const Product& product : rasters()) paths.push_back(product.path);
    if (quicklook_edge > 0) paths.push_back(quicklook_path());
    return paths;
}

std::size_t MapProducts::row_bytes() const {
    std::size_t pixel = 0;
    for (const Product& product : rasters())
        pixel += size_of(product.format.dtype) * static_cast<std::size_t>(product.format.bands);
    return pixel * static_cast<std::size_t>(raster::part_block_rows);
}

void MapProducts::check(Existing existing) const {
    if (map.extension() != ".tif" && map.extension() != ".tiff") {
        refuse(fmt::format("the map {} must be called something.tif.", map.string()),
               "Name the GeoTIFF to write with -o map.tif.");
    }
    const std::filesystem::path folder = map.has_parent_path() ? map.parent_path() : ".";
    if (!std::filesystem::is_directory(folder)) {
        refuse(fmt::format("the folder {} for the map does not exist.", folder.string()), "Create it first.");
    }
    for (const auto& file : files()) {
        if (existing == Existing::refuse && std::filesystem::exists(file)) {
            refuse(fmt::format("{} exists already.", file.string()),
                   "Choose another -o, or add --overwrite.");
        }
        if (std::filesystem::is_directory(file)) {
            refuse(fmt::format("{} is a folder.", file.string()), "Choose another -o.");
        }
    }
}

}  // namespace terrane::predict

#include "raster/geotiff.hpp"

#include "base/file.hpp"
#include "raster/placement.hpp"

namespace terrane::raster {

namespace {

/// Every entry is set, since GDAL writes missing ones as opaque black.
void set_legend(GDALRasterBandH band, const ClassLegend& legend) {
    const GDALColorTableH table = GDALCreateColorTable(GPI_RGB);
    std::vector<std::string> names(256);
    for (int value = 0; value < 256; ++value) {
        const GDALColorEntry transparent{0, 0, 0, 0};
        GDALSetColorEntry(table, value, &transparent);
    }
    for (const ClassLegend::Entry& entry : legend.entries) {
        TERRANE_ASSERT(entry.value >= 0 && entry.value < 255, "class value {} in a legend", entry.value);
        const GDALColorEntry color{static_cast<short>(entry.color[0]), static_cast<short>(entry.color[1]),
                                   static_cast<short>(entry.color[2]), 255};
        GDALSetColorEntry(table, entry.value, &color);
        names[static_cast<std::size_t>(entry.value)] = entry.name;
    }
    names[255] = "nodata";
    char** list = nullptr;
    for (const std::string& name : names) list = CSLAddString(list, name.c_str());
    GDALSetRasterColorTable(band, table);
    GDALSetRasterCategoryNames(band, list);
    GDALDestroyColorTable(table);
    CSLDestroy(list);
}

}  // namespace

Error write_error(const std::filesystem::path& path, const std::string& what, ExitCode code) {
    return Error(code, 903, fmt::format("{} can't be {}: {}.", path.string(), what, gdal_message()),
                 "Check the free space and the permissions of the folder.");
}

void remove_quietly(const std::filesystem::path& path) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
}

std::filesystem::path with_suffix(std::filesystem::path path, const std::string& suffix) {
    path += suffix;
    return path;
}

void describe_dataset(GDALDatasetH dataset, const std::filesystem::path& path, const Grid& grid,
                      const RasterFormat& format) {
    std::array<double, 6> transform = grid.transform;
    // A picture without a place gives a map without one.
    const bool placed = !is_pixel_coordinates(grid.crs);
    bool good = !placed || GDALSetGeoTransform(dataset, transform.data()) == CE_None;
    if (placed && !grid.crs.empty()) {
        const ReferenceHandle reference = make_reference(grid.crs, path.string());
        good = good && GDALSetSpatialRef(dataset, reference.get()) == CE_None;
    }
    for (int b = 1; b <= format.bands; ++b) {
        const GDALRasterBandH band = GDALGetRasterBand(dataset, b);
        if (format.nodata) good = good && GDALSetRasterNoDataValue(band, *format.nodata) == CE_None;
        if (static_cast<std::size_t>(b) <= format.band_names.size()) {
            GDALSetDescription(band, format.band_names[static_cast<std::size_t>(b) - 1].c_str());
        }
    }
    if (format.legend) set_legend(GDALGetRasterBand(dataset, 1), *format.legend);
    if (!good) throw write_error(path, "created", ExitCode::cannot_create);
}

void close_checked(DatasetHandle& handle, const std::filesystem::path& file,
                   const std::filesystem::path& path) {
    CPLErrorReset();
    GDALFlushCache(handle.get());
    if (CPLGetLastErrorType() >= CE_Failure) throw write_error(path, "written");
    handle.reset();
    if (CPLGetLastErrorType() >= CE_Failure) throw write_error(path, "written");
    sync_file(file);
}

extern "C" int report_working(double, const char*, void* working) {
    const auto& tell = *static_cast<const std::function<void()>*>(working);
    if (tell) tell();
    return TRUE;
}

void* progress_argument(const std::function<void()>& working) {
    return const_cast<std::function<void()>*>(&working);
}

void convert_to_cog(GDALDatasetH source, const std::filesystem::path& file, const std::filesystem::path& path,
                    const RasterFormat& format, const std::function<void()>& working) {
    OptionList options;
    options.set("BLOCKSIZE", std::to_string(tiff_block));
    options.set("COMPRESS", "DEFLATE");
    options.set("PREDICTOR", format.legend ? "NO" : "YES");
    options.set("BIGTIFF", "IF_SAFER");
    options.set("OVERVIEW_RESAMPLING", format.legend ? "MODE" : "AVERAGE");
    CPLErrorReset();
    DatasetHandle cog(GDALCreateCopy(GDALGetDriverByName("COG"), file.c_str(), source, FALSE, options.get(),
                                     &report_working, progress_argument(working)));
    if (cog == nullptr || CPLGetLastErrorType() >= CE_Failure) throw write_error(path, "written as COG");
    close_checked(cog, file, path);
}

void publish_raster(const std::filesystem::path& file, const std::filesystem::path& path) {
    // The names go first: names without a map harm nobody.
    const std::filesystem::path names = with_suffix(file, ".aux.xml");
    const std::filesystem::path final_names = with_suffix(path, ".aux.xml");
    if (std::filesystem::exists(names)) {
        sync_file(names);
        publish_by_rename(names, final_names);
    } else {
        remove_quietly(final_names);
    }
    publish_by_rename(file, path);
}

}  // namespace terrane::raster

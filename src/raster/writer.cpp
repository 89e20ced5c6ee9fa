#include "raster/writer.hpp"

#include <cpl_conv.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.hpp"
#include "raster/gdal_handles.hpp"

namespace terrane::raster {

namespace {

constexpr int block = 512;

Error write_error(const std::filesystem::path& path, const std::string& what,
                  ExitCode code = ExitCode::io_error) {
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

RasterFormat class_map_format(ClassLegend legend) {
    RasterFormat format;
    format.nodata = 255;
    format.legend = std::move(legend);
    format.band_names = {"class"};
    return format;
}

struct RasterWriter::State {
    std::filesystem::path path;
    std::filesystem::path temporary;  // the file that windows go to
    std::filesystem::path converted;  // the COG made of it
    Grid grid;
    RasterFormat format;
    DatasetHandle dataset;
    bool finished = false;

    ~State() {
        if (finished) return;
        if (dataset != nullptr) CPLPushErrorHandler(CPLQuietErrorHandler);
        const bool open = dataset != nullptr;
        dataset.reset();
        if (open) CPLPopErrorHandler();
        for (const auto& file : {temporary, converted}) {
            remove_quietly(file);
            remove_quietly(with_suffix(file, ".aux.xml"));
        }
    }
    void create();
    void close_checked(DatasetHandle& handle, const std::filesystem::path& file) const;
    void convert_to_cog();
};

void RasterWriter::State::create() {
    initialise_gdal();
    OptionList options;
    options.set("TILED", "YES");
    options.set("BLOCKXSIZE", std::to_string(block));
    options.set("BLOCKYSIZE", std::to_string(block));
    options.set("BIGTIFF", "IF_SAFER");
    options.set("COMPRESS", "DEFLATE");
    options.set("ZLEVEL", format.layout == RasterLayout::tiled ? "6" : "1");
    options.set("INTERLEAVE", format.bands > 1 ? "PIXEL" : "BAND");
    options.set("SPARSE_OK", "TRUE");
    if (format.dtype == DType::f32 || format.dtype == DType::f64) options.set("PREDICTOR", "3");
    if (format.legend) options.set("PHOTOMETRIC", "PALETTE");
    CPLErrorReset();
    dataset.reset(GDALCreate(GDALGetDriverByName("GTiff"), temporary.c_str(), static_cast<int>(grid.width),
                             static_cast<int>(grid.height), static_cast<int>(format.bands),
                             gdal_type(format.dtype), options.get()));
    if (dataset == nullptr) throw write_error(path, "created", ExitCode::cannot_create);
    bool good = GDALSetGeoTransform(dataset.get(), grid.transform.data()) == CE_None;
    if (!grid.crs.empty()) {
        const ReferenceHandle reference = make_reference(grid.crs, path.string());
        good = good && GDALSetSpatialRef(dataset.get(), reference.get()) == CE_None;
    }
    for (int b = 1; b <= format.bands; ++b) {
        const GDALRasterBandH band = GDALGetRasterBand(dataset.get(), b);
        if (format.nodata) good = good && GDALSetRasterNoDataValue(band, *format.nodata) == CE_None;
        if (static_cast<std::size_t>(b) <= format.band_names.size()) {
            GDALSetDescription(band, format.band_names[static_cast<std::size_t>(b) - 1].c_str());
        }
    }
    if (format.legend) set_legend(GDALGetRasterBand(dataset.get(), 1), *format.legend);
    if (!good) throw write_error(path, "created", ExitCode::cannot_create);
}

void RasterWriter::State::close_checked(DatasetHandle& handle, const std::filesystem::path& file) const {
    CPLErrorReset();
    GDALFlushCache(handle.get());
    const bool flushed = CPLGetLastErrorType() < CE_Failure;
    if (!flushed) throw write_error(path, "written");
    handle.reset();  // writes the last directory; GDAL 3.6 reports a failure through the error state only
    if (CPLGetLastErrorType() >= CE_Failure) throw write_error(path, "written");
    sync_file(file);
}

void RasterWriter::State::convert_to_cog() {
    OptionList options;
    options.set("BLOCKSIZE", std::to_string(block));
    options.set("COMPRESS", "DEFLATE");
    options.set("PREDICTOR", format.legend ? "NO" : "YES");
    options.set("BIGTIFF", "IF_SAFER");
    options.set("OVERVIEW_RESAMPLING", format.legend ? "MODE" : "AVERAGE");
    CPLErrorReset();
    const DatasetHandle source(GDALOpen(temporary.c_str(), GA_ReadOnly));
    if (source == nullptr) throw write_error(temporary, "read back");
    DatasetHandle cog(GDALCreateCopy(GDALGetDriverByName("COG"), converted.c_str(), source.get(), FALSE,
                                     options.get(), nullptr, nullptr));
    if (cog == nullptr || CPLGetLastErrorType() >= CE_Failure) throw write_error(path, "written as COG");
    close_checked(cog, converted);
}

RasterWriter::RasterWriter(std::filesystem::path path, const Grid& grid, RasterFormat format)
    : state_(std::make_unique<State>()) {
    TERRANE_ASSERT(!format.legend || (format.dtype == DType::u8 && format.bands == 1),
                   "a legend needs one u8 band");
    TERRANE_ASSERT(grid.width > 0 && grid.height > 0 && format.bands > 0, "an empty raster");
    state_->path = std::move(path);
    // The process number keeps two commands that write the same map from sharing temporaries; ".tif" is what
    // the category names' sidecar is derived from.
    state_->temporary = with_suffix(state_->path, fmt::format(".{}.tmp.tif", ::getpid()));
    state_->converted = with_suffix(state_->path, fmt::format(".{}.cog.tif", ::getpid()));
    state_->grid = grid;
    state_->format = std::move(format);
    state_->create();
}

RasterWriter::~RasterWriter() = default;
RasterWriter::RasterWriter(RasterWriter&&) noexcept = default;
RasterWriter& RasterWriter::operator=(RasterWriter&&) noexcept = default;

void RasterWriter::write(const Window& window, std::span<const std::byte> values) {
    State& state = *state_;
    const auto element = static_cast<std::int64_t>(size_of(state.format.dtype));
    const std::int64_t pixel = state.format.bands * element;
    TERRANE_ASSERT(state.dataset != nullptr, "a window is written after finish()");
    TERRANE_ASSERT(window.column >= 0 && window.row >= 0 && window.width > 0 && window.height > 0 &&
                       window.column + window.width <= state.grid.width &&
                       window.row + window.height <= state.grid.height,
                   "{} of {} lies outside of the raster", window.text(), state.path.string());
    TERRANE_ASSERT(static_cast<std::int64_t>(values.size()) == window.pixels() * pixel, "{} bytes for {}",
                   values.size(), window.text());
    CPLErrorReset();
    // GDAL takes a non-const pointer for both directions.
    void* data = const_cast<std::byte*>(values.data());
    const CPLErr failed = GDALDatasetRasterIOEx(
        state.dataset.get(), GF_Write, static_cast<int>(window.column), static_cast<int>(window.row),
        static_cast<int>(window.width), static_cast<int>(window.height), data, static_cast<int>(window.width),
        static_cast<int>(window.height), gdal_type(state.format.dtype), static_cast<int>(state.format.bands),
        nullptr, pixel, pixel * window.width, element, nullptr);
    if (failed != CE_None || CPLGetLastErrorType() >= CE_Failure) throw write_error(state.path, "written");
}

void RasterWriter::finish() {
    State& state = *state_;
    TERRANE_ASSERT(state.dataset != nullptr, "finish() twice");
    state.close_checked(state.dataset, state.temporary);
    std::filesystem::path result = state.temporary;
    if (state.format.layout == RasterLayout::cloud_optimized) {
        state.convert_to_cog();
        result = state.converted;
    }
    // The names go first: names without a map harm nobody.
    const std::filesystem::path names = with_suffix(result, ".aux.xml");
    const std::filesystem::path final_names = with_suffix(state.path, ".aux.xml");
    if (std::filesystem::exists(names)) {
        sync_file(names);
        publish_by_rename(names, final_names);
    } else {
        remove_quietly(final_names);
    }
    publish_by_rename(result, state.path);
    state.finished = true;
    if (result != state.temporary) {
        remove_quietly(state.temporary);
        remove_quietly(with_suffix(state.temporary, ".aux.xml"));
    }
}

}  // namespace terrane::raster

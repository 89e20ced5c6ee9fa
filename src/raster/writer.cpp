#include "raster/writer.hpp"

#include <cpl_conv.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.hpp"
#include "base/leftovers.hpp"
#include "raster/geotiff.hpp"

namespace terrane::raster {

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
    void convert() const;
};

void RasterWriter::State::create() {
    initialise_gdal();
    OptionList options;
    options.set("TILED", "YES");
    options.set("BLOCKXSIZE", std::to_string(tiff_block));
    options.set("BLOCKYSIZE",
                std::to_string(format.layout == RasterLayout::part ? part_block_rows : tiff_block));
    options.set("BIGTIFF", "IF_SAFER");
    options.set("COMPRESS", "DEFLATE");
    options.set("ZLEVEL", format.layout == RasterLayout::tiled ? "6" : "1");
    options.set("INTERLEAVE", format.bands > 1 ? "PIXEL" : "BAND");
    // Else GDAL declares the fourth of four byte bands transparency, and a near infrared band is lost.
    options.set("ALPHA", "NO");
    options.set("SPARSE_OK", "TRUE");
    if (format.dtype == DType::f32 || format.dtype == DType::f64) options.set("PREDICTOR", "3");
    if (format.legend) options.set("PHOTOMETRIC", "PALETTE");
    CPLErrorReset();
    dataset.reset(GDALCreate(GDALGetDriverByName("GTiff"), temporary.c_str(), static_cast<int>(grid.width),
                             static_cast<int>(grid.height), static_cast<int>(format.bands),
                             gdal_type(format.dtype), options.get()));
    if (dataset == nullptr) throw write_error(path, "created", ExitCode::cannot_create);
    describe_dataset(dataset.get(), path, grid, format);
}

void RasterWriter::State::convert() const {
    CPLErrorReset();
    const DatasetHandle source(GDALOpen(temporary.c_str(), GA_ReadOnly));
    if (source == nullptr) throw write_error(temporary, "read back");
    convert_to_cog(source.get(), converted, path, format);
}

RasterWriter::RasterWriter(std::filesystem::path path, const Grid& grid, RasterFormat format)
    : state_(std::make_unique<State>()) {
    TERRANE_ASSERT(!format.legend || (format.dtype == DType::u8 && format.bands == 1),
                   "a legend needs one u8 band");
    TERRANE_ASSERT(grid.width > 0 && grid.height > 0 && format.bands > 0, "an empty raster");
    state_->path = std::move(path);
    // The process's name keeps two commands that write the same map from sharing temporaries; ".tif" is what
    // the category names' sidecar is derived from.
    state_->temporary = with_suffix(state_->path, fmt::format(".{}.tmp.tif", process_tag()));
    state_->converted = with_suffix(state_->path, fmt::format(".{}.cog.tif", process_tag()));
    if (format.layout != RasterLayout::part)
        remove_leftovers(state_->path.parent_path(), state_->path.filename().string() + ".");
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
    close_checked(state.dataset, state.temporary, state.path);
    std::filesystem::path result = state.temporary;
    if (state.format.layout == RasterLayout::cloud_optimized) {
        state.convert();
        result = state.converted;
    }
    publish_raster(result, state.path);
    state.finished = true;
    if (result != state.temporary) {
        remove_quietly(state.temporary);
        remove_quietly(with_suffix(state.temporary, ".aux.xml"));
    }
}

}  // namespace terrane::raster

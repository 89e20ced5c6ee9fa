#include "raster/reader.hpp"

#include <gdalwarper.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "raster/pixel_mapping.hpp"
#include "raster/placement.hpp"
#include "raster/source_layer.hpp"

namespace terrane::raster {

namespace {

constexpr std::int64_t most_source_bytes = std::int64_t{256} << 20;

/// What GDAL's warper calls for the source position of target pixels: the mapping, moved to the two windows.
struct WindowTransformer {
    const PixelMapping* mapping;
    Window target;
    Window source;

    static int run(void* argument, int to_source, int count, double* x, double* y, double*, int* success) {
        const auto& self = *static_cast<const WindowTransformer*>(argument);
        for (int i = 0; i < count; ++i) {
            double source_x = 0, source_y = 0;
            success[i] = to_source != 0 &&
                         self.mapping->map(x[i] + static_cast<double>(self.target.column),
                                           y[i] + static_cast<double>(self.target.row), source_x, source_y);
            if (success[i] == 0) continue;
            x[i] = source_x - static_cast<double>(self.source.column);
            y[i] = source_y - static_cast<double>(self.source.row);
        }
        return 1;
    }
};

/// A GDAL dataset over memory of ours, [bands][height][width].
DatasetHandle memory_dataset(const Window& window, std::int64_t bands, DType dtype, void* data) {
    const GDALDriverH driver = GDALGetDriverByName("MEM");
    TERRANE_ASSERT(driver != nullptr, "GDAL lacks its MEM driver");
    CPLErrorReset();
    DatasetHandle dataset(GDALCreate(driver, "", static_cast<int>(window.width),
                                     static_cast<int>(window.height), 0, gdal_type(dtype), nullptr));
    const auto plane = static_cast<std::size_t>(window.pixels()) * size_of(dtype);
    for (std::int64_t b = 0; dataset != nullptr && b < bands; ++b) {
        std::array<char, 64> pointer{};
        CPLPrintPointer(pointer.data(), static_cast<char*>(data) + static_cast<std::size_t>(b) * plane,
                        pointer.size() - 1);
        OptionList options;
        options.set("DATAPOINTER", pointer.data());
        if (GDALAddBand(dataset.get(), gdal_type(dtype), options.get()) != CE_None) dataset.reset();
    }
    if (dataset == nullptr) throw InternalError("no dataset in memory: " + gdal_message());
    return dataset;
}

GDALResampleAlg warp_algorithm(Resampling resampling) {
    switch (resampling) {
        case Resampling::nearest:
            return GRA_NearestNeighbour;
        case Resampling::bilinear:
            return GRA_Bilinear;
        case Resampling::cubic:
            return GRA_Cubic;
        case Resampling::average:
            return GRA_Average;
    }
    throw InternalError("unknown resampling");
}

enum class UseMask { no, yes };

/// One pass of GDAL's warper between buffers of ours. `states` marks the source pixels that count.
void warp(WindowTransformer& transformer, Resampling resampling, std::int64_t bands, DType dtype,
          void* source_values, const std::uint8_t* states, UseMask use_mask, void* target_values) {
    const DatasetHandle source = memory_dataset(transformer.source, bands, dtype, source_values);
    const DatasetHandle target = memory_dataset(transformer.target, bands, dtype, target_values);
    const Window& from = transformer.source;
    if (use_mask == UseMask::yes) {
        CPLErrorReset();
        std::vector<std::uint8_t> mask(static_cast<std::size_t>(from.pixels()));
        std::transform(states, states + mask.size(), mask.begin(),
                       [](std::uint8_t state) { return std::uint8_t(state == pixel_valid ? 255 : 0); });
        if (GDALCreateDatasetMaskBand(source.get(), GMF_PER_DATASET) != CE_None ||
            GDALRasterIO(GDALGetMaskBand(GDALGetRasterBand(source.get(), 1)), GF_Write, 0, 0,
                         static_cast<int>(from.width), static_cast<int>(from.height), mask.data(),
                         static_cast<int>(from.width), static_cast<int>(from.height), GDT_Byte, 0,
                         0) != CE_None) {
            throw InternalError("no mask in memory: " + gdal_message());
        }
    }
    struct DestroyOptions {
        void operator()(GDALWarpOptions* options) const { GDALDestroyWarpOptions(options); }
    };
    std::unique_ptr<GDALWarpOptions, DestroyOptions> options(GDALCreateWarpOptions());
    options->hSrcDS = source.get();
    options->hDstDS = target.get();
    options->nBandCount = static_cast<int>(bands);
    options->panSrcBands = static_cast<int*>(CPLMalloc(sizeof(int) * static_cast<std::size_t>(bands)));
    options->panDstBands = static_cast<int*>(CPLMalloc(sizeof(int) * static_cast<std::size_t>(bands)));
    for (int b = 0; b < bands; ++b) options->panSrcBands[b] = options->panDstBands[b] = b + 1;
    options->eResampleAlg = warp_algorithm(resampling);
    options->pfnTransformer = &WindowTransformer::run;
    options->pTransformerArg = &transformer;
    options->eWorkingDataType = gdal_type(dtype);
    OptionList warp_options;
    warp_options.set("INIT_DEST", "0");
    // Left to itself GDAL guesses the ratio per window, and windows would not fit together.
    const PixelMapping& mapping = *transformer.mapping;
    warp_options.set("XSCALE", fmt::format("{:.17g}", 1 / mapping.source_pixels_per_column()));
    warp_options.set("YSCALE", fmt::format("{:.17g}", 1 / mapping.source_pixels_per_row()));
    options->papszWarpOptions = warp_options.release();
    CPLErrorReset();
    GDALWarpOperation operation;
    if (operation.Initialize(options.get()) != CE_None ||
        operation.WarpRegion(0, 0, static_cast<int>(transformer.target.width),
                             static_cast<int>(transformer.target.height), 0, 0, static_cast<int>(from.width),
                             static_cast<int>(from.height)) != CE_None) {
        throw Error(ExitCode::io_error, 205, fmt::format("resampling failed: {}.", gdal_message()));
    }
}

/// A layer and where its pixels lie in the target grid.
struct MappedLayer {
    SourceLayer layer;
    PixelMapping mapping;
};

}  // namespace

Resampling resampling_from_name(const std::string& name) {
    if (name == "nearest") return Resampling::nearest;
    if (name == "bilinear") return Resampling::bilinear;
    if (name == "cubic") return Resampling::cubic;
    if (name == "average") return Resampling::average;
    throw Error(ExitCode::config_invalid, 502, fmt::format("resampling '{}' is unknown.", name),
                "Use nearest, bilinear, cubic or average.");
}

struct AlignedReader::State {
    Source source;
    Grid grid;
    DType dtype = DType::u8;
    std::int64_t bands = 0;
    std::vector<std::string> band_names;
    Bounds bounds{INFINITY, INFINITY, -INFINITY, -INFINITY};
    std::vector<MappedLayer> layers;
    std::vector<std::byte> source_values;
    std::vector<std::uint8_t> source_states;
    std::vector<std::byte> target_values;  // [bands][height][width]
    std::vector<float> source_weight, target_weight;

    void open();
    /// Fills the pixels of `part` (of `window`) that are not valid yet; marks non-finite ones in the mask.
    void read_layer(MappedLayer& mapped, const Window& window, const Window& part,
                    std::span<std::byte> values, std::span<std::uint8_t> mask);
};

void AlignedReader::State::open() {
    std::string first_type_file;
    for (const RasterInfo& info : describe_placed(source.files, source.crs, source.table, source.scale)) {
        const std::filesystem::path& file = info.file;
        const auto file_bands = static_cast<std::int64_t>(info.bands.size());
        for (const std::int64_t band : source.bands) {
            if (band < 1 || band > file_bands) {
                throw Error(ExitCode::data_invalid, 206,
                            fmt::format("{} asks for band {} of {}, which has {}.", source.table, band,
                                        file.string(), file_bands),
                            fmt::format("Use bands 1 to {}.", file_bands));
            }
        }
        std::vector<std::int64_t> selected = source.bands;
        const bool expand = source.palette == Palette::expand && !info.palette.empty();
        if (expand) {
            selected = {1, 1, 1};
        } else if (selected.empty()) {
            for (std::int64_t b = 1; b <= file_bands; ++b) {
                if (!info.bands[static_cast<std::size_t>(b) - 1].alpha) selected.push_back(b);
            }
        }
        const auto count = static_cast<std::int64_t>(selected.size());
        if (layers.empty()) {
            bands = count;
            dtype = expand ? DType::u8 : info.dtype;
            first_type_file = file.string();
            for (const std::int64_t band : selected) {
                const std::string& name = info.bands[static_cast<std::size_t>(band) - 1].name;
                band_names.push_back(name.empty() ? fmt::format("band {}", band) : name);
            }
        } else if (count != bands) {
            throw Error(
                ExitCode::data_invalid, 206,
                fmt::format("{} has {} bands, but {} has {}.", file.string(), count, first_type_file, bands),
                fmt::format("Choose common bands with bands=[…] in {}.", source.table));
        } else if (!expand && info.dtype != dtype) {
            throw Error(ExitCode::data_invalid, 207,
                        fmt::format("{} holds {} values, but {} holds {}.", file.string(),
                                    name_of(info.dtype), first_type_file, name_of(dtype)),
                        "Convert one of them with gdal_translate -ot.");
        }
        const Bounds covered = transform_bounds(info.grid.bounds(), info.grid.crs, grid.crs);
        bounds = {std::min(bounds.west, covered.west), std::min(bounds.south, covered.south),
                  std::max(bounds.east, covered.east), std::max(bounds.north, covered.north)};
        bool added = false;
        for (MappedLayer& mapped : layers) added = added || mapped.layer.add(info);
        if (!added) {
            SourceLayer layer(info, source);
            PixelMapping mapping(grid, layer.grid());
            layers.push_back({std::move(layer), std::move(mapping)});
        }
    }
    TERRANE_ASSERT(!layers.empty(), "{} has no files", source.table);
}

void AlignedReader::State::read_layer(MappedLayer& mapped, const Window& window, const Window& part,
                                      std::span<std::byte> values, std::span<std::uint8_t> mask) {
    PixelMapping& mapping = mapped.mapping;
    const std::size_t element = size_of(dtype);
    const auto channel_count = static_cast<std::size_t>(bands);
    const bool direct = mapping.coincides();
    Window from;
    if (direct) {
        from = {part.column + mapping.column_offset(), part.row + mapping.row_offset(), part.width,
                part.height};
    } else {
        mapping.prepare(part);
        if (!mapping.source_window(part, from)) return;
        // The kernel's reach, and one ring beyond that is never valid: GDAL takes other code paths (with
        // other roundings) for windows without any invalid pixel.
        const double reach = source.resampling == Resampling::cubic ? 2 : 1;
        const auto margin_x =
            static_cast<std::int64_t>(std::ceil(reach * std::max(1.0, mapping.source_pixels_per_column()))) +
            2;
        const auto margin_y =
            static_cast<std::int64_t>(std::ceil(reach * std::max(1.0, mapping.source_pixels_per_row()))) + 2;
        from = {from.column - margin_x, from.row - margin_y, from.width + 2 * margin_x,
                from.height + 2 * margin_y};
    }
    const Window& extent = mapped.layer.extent();
    if (from.column >= extent.column + extent.width || extent.column >= from.column + from.width ||
        from.row >= extent.row + extent.height || extent.row >= from.row + from.height) {
        return;
    }
    const bool too_large = static_cast<double>(from.width) * static_cast<double>(from.height) *
                               static_cast<double>(channel_count * element) >
                           static_cast<double>(most_source_bytes);
    if (too_large && part.pixels() > 1) {
        Window first = part, second = part;
        if (part.width >= part.height) {
            first.width = part.width / 2;
            second.column += first.width;
            second.width -= first.width;
        } else {
            first.height = part.height / 2;
            second.row += first.height;
            second.height -= first.height;
        }
        read_layer(mapped, window, first, values, mask);
        read_layer(mapped, window, second, values, mask);
        return;
    }
    const auto source_pixels = static_cast<std::size_t>(from.pixels());
    const auto pixels = static_cast<std::size_t>(part.pixels());
    source_values.resize(std::max(source_values.size(), source_pixels * channel_count * element));
    source_states.resize(std::max(source_states.size(), source_pixels));
    std::uint8_t* states = source_states.data();
    const bool any_valid = mapped.layer.read(from, dtype, bands, source_values.data(), states);
    const std::byte* planes = source_values.data();
    const bool all_valid =
        std::all_of(states, states + source_pixels, [](std::uint8_t s) { return s == pixel_valid; });
    if (!direct && any_valid) {
        for (std::int64_t x = 0; x < from.width; ++x)
            states[x] = states[(from.height - 1) * from.width + x] = pixel_missing;
        for (std::int64_t y = 0; y < from.height; ++y)
            states[y * from.width] = states[(y + 1) * from.width - 1] = pixel_missing;
        WindowTransformer transformer{&mapping, part, from};
        target_values.resize(std::max(target_values.size(), pixels * channel_count * element));
        warp(transformer, source.resampling, bands, dtype, source_values.data(), states, UseMask::yes,
             target_values.data());
        planes = target_values.data();
        target_weight.assign(pixels, 1.0f);
        if (!all_valid && source.resampling != Resampling::nearest) {
            source_weight.resize(source_pixels);
            std::transform(states, states + source_pixels, source_weight.begin(),
                           [](std::uint8_t state) { return state == pixel_valid ? 1.0f : 0.0f; });
            warp(transformer,
                 source.resampling == Resampling::average ? Resampling::average : Resampling::bilinear, 1,
                 DType::f32, source_weight.data(), nullptr, UseMask::no, target_weight.data());
        }
    }
    for (std::int64_t y = 0; y < part.height; ++y) {
        for (std::int64_t x = 0; x < part.width; ++x) {
            const auto at = static_cast<std::size_t>(y * part.width + x);
            const auto to = static_cast<std::size_t>((part.row - window.row + y) * window.width +
                                                     part.column - window.column + x);
            if (mask[to] == 1) continue;
            std::uint8_t under = pixel_missing;  // the state of the source pixel under the centre
            if (direct) {
                under = states[at];
            } else {
                double source_x = 0, source_y = 0;
                if (!mapping.map(static_cast<double>(part.column + x) + 0.5,
                                 static_cast<double>(part.row + y) + 0.5, source_x, source_y)) {
                    continue;
                }
                const auto column = static_cast<std::int64_t>(std::floor(source_x + 1e-10)) - from.column;
                const auto row = static_cast<std::int64_t>(std::floor(source_y + 1e-10)) - from.row;
                if (column < 0 || row < 0 || column >= from.width || row >= from.height) continue;
                under = states[row * from.width + column];
            }
            const bool centre_counts = direct || source.resampling != Resampling::average;
            const bool valid = (under == pixel_valid || !centre_counts) &&
                               (direct || (any_valid && target_weight[at] >= 0.4999f));
            if (valid) {
                mask[to] = 1;
                for (std::size_t b = 0; b < channel_count; ++b) {
                    std::memcpy(values.data() + (to * channel_count + b) * element,
                                planes + (b * pixels + at) * element, element);
                }
            } else if (under == pixel_non_finite && mask[to] == 0) {
                mask[to] = pixel_non_finite;
            }
        }
    }
}

AlignedReader::AlignedReader(Source source, Grid target) : state_(std::make_unique<State>()) {
    state_->source = std::move(source);
    state_->grid = std::move(target);
    state_->open();
}

AlignedReader::~AlignedReader() = default;
AlignedReader::AlignedReader(AlignedReader&&) noexcept = default;
AlignedReader& AlignedReader::operator=(AlignedReader&&) noexcept = default;

const Grid& AlignedReader::grid() const {
    return state_->grid;
}
const Source& AlignedReader::source() const {
    return state_->source;
}
DType AlignedReader::dtype() const {
    return state_->dtype;
}
std::int64_t AlignedReader::bands() const {
    return state_->bands;
}
const std::vector<std::string>& AlignedReader::band_names() const {
    return state_->band_names;
}
const Bounds& AlignedReader::bounds() const {
    return state_->bounds;
}

AlignedReader::Counts AlignedReader::read(const Window& window, std::span<std::byte> values,
                                          std::span<std::uint8_t> mask) {
    TERRANE_ASSERT(window.width > 0 && window.height > 0, "an empty window");
    const auto pixels = static_cast<std::size_t>(window.pixels());
    TERRANE_ASSERT(mask.size() == pixels &&
                       values.size() == pixels * static_cast<std::size_t>(bands()) * size_of(dtype()),
                   "buffers of {} and {} bytes for {}", values.size(), mask.size(), window.text());
    std::fill(values.begin(), values.end(), std::byte{0});
    std::fill(mask.begin(), mask.end(), std::uint8_t{0});
    for (MappedLayer& mapped : state_->layers) state_->read_layer(mapped, window, window, values, mask);
    Counts counts;
    for (std::uint8_t& pixel : mask) {
        counts.valid += pixel == 1;
        counts.non_finite += pixel == pixel_non_finite;
        pixel = pixel == 1 ? 1 : 0;
    }
    return counts;
}

}  // namespace terrane::raster

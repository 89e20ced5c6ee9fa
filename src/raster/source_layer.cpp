#include "raster/source_layer.hpp"

#include <algorithm>
#include <cmath>

#include "base/fault.hpp"
#include "base/slow_read.hpp"

namespace terrane::raster {

namespace {

constexpr std::size_t most_open_files = 32;

Window intersection(const Window& a, const Window& b) {
    Window result;
    result.column = std::max(a.column, b.column);
    result.row = std::max(a.row, b.row);
    result.width = std::min(a.column + a.width, b.column + b.width) - result.column;
    result.height = std::min(a.row + a.height, b.row + b.height) - result.row;
    return result;
}

/// One nodata rule in the type the pixels are read with; nothing in integer types that can't hold the value.
template <typename T>
struct NodataTest {
    bool active = false;
    bool nan = false;
    bool beyond_float = false;  // "the lowest float", written with too few digits by many programs
    T value{};

    explicit NodataTest(double nodata) {
        if constexpr (std::is_floating_point_v<T>) {
            active = true;
            nan = std::isnan(nodata);
            beyond_float = std::abs(nodata) > 3.4e38;
            value = static_cast<T>(std::clamp(nodata, -double{std::numeric_limits<T>::max()},
                                              double{std::numeric_limits<T>::max()}));
        } else {
            active = nodata == std::floor(nodata) && nodata >= double{std::numeric_limits<T>::lowest()} &&
                     nodata <= double{std::numeric_limits<T>::max()};
            if (active) value = static_cast<T>(nodata);
        }
    }
    bool matches(T pixel) const {
        if (!active) return false;
        if constexpr (std::is_floating_point_v<T>) {
            if (nan) return std::isnan(pixel);
            if (beyond_float) return value < 0 ? pixel <= T(-3.4e38) : pixel >= T(3.4e38);
        }
        return pixel == value;
    }
};

template <typename T>
constexpr GDALDataType type_read = std::is_same_v<T, double>          ? GDT_Float64
                                   : std::is_same_v<T, float>         ? GDT_Float32
                                   : std::is_same_v<T, std::uint8_t>  ? GDT_Byte
                                   : std::is_same_v<T, std::uint16_t> ? GDT_UInt16
                                   : std::is_same_v<T, std::int16_t>  ? GDT_Int16
                                   : std::is_same_v<T, std::uint32_t> ? GDT_UInt32
                                                                      : GDT_Int32;

}  // namespace

SourceLayer::SourceLayer(const RasterInfo& first, const Source& source)
    : source_(&source), grid_(first.grid) {
    TERRANE_ASSERT(add(first), "a raster does not fit its own lattice");
}

bool SourceLayer::add(const RasterInfo& info) {
    const auto& a = grid_.transform;
    const auto& b = info.grid.transform;
    const double edge = static_cast<double>(std::max(info.grid.width, info.grid.height));
    for (const std::size_t i : {1, 2, 4, 5}) {
        const double pixel = std::max(std::abs(a[1]) + std::abs(a[2]), std::abs(a[4]) + std::abs(a[5]));
        if (std::abs(a[i] - b[i]) * edge > 1e-3 * pixel) return false;
    }
    if (!same_crs(grid_.crs, info.grid.crs)) return false;
    const double determinant = a[1] * a[5] - a[2] * a[4];
    const double x = b[0] - a[0];
    const double y = b[3] - a[3];
    const double column = (x * a[5] - y * a[2]) / determinant;
    const double row = (y * a[1] - x * a[4]) / determinant;
    if (std::abs(column) > 1e9 || std::abs(row) > 1e9) return false;
    if (std::abs(column - std::round(column)) > 1e-3 || std::abs(row - std::round(row)) > 1e-3) return false;
    File file;
    file.info = info;
    file.place = {std::llround(column), std::llround(row), info.grid.width, info.grid.height};
    if (files_.empty()) {
        extent_ = file.place;
    } else {
        const std::int64_t right =
            std::max(extent_.column + extent_.width, file.place.column + file.place.width);
        const std::int64_t bottom =
            std::max(extent_.row + extent_.height, file.place.row + file.place.height);
        extent_.column = std::min(extent_.column, file.place.column);
        extent_.row = std::min(extent_.row, file.place.row);
        extent_.width = right - extent_.column;
        extent_.height = bottom - extent_.row;
    }
    files_.push_back(std::move(file));
    return true;
}

GDALDatasetH SourceLayer::open(File& file) {
    file.last_used = ++uses_;
    if (file.dataset == nullptr) {
        std::vector<File*> open_files;
        for (File& other : files_) {
            if (other.dataset != nullptr) open_files.push_back(&other);
        }
        if (open_files.size() >= most_open_files) {
            (*std::min_element(open_files.begin(), open_files.end(), [](const File* a, const File* b) {
                return a->last_used < b->last_used;
            }))->dataset.reset();
        }
        file.dataset = open_raster(file.info.file);
        if (GDALGetRasterXSize(file.dataset.get()) != file.info.grid.width ||
            GDALGetRasterYSize(file.dataset.get()) != file.info.grid.height ||
            GDALGetRasterCount(file.dataset.get()) != static_cast<int>(file.info.bands.size())) {
            throw Error(ExitCode::data_invalid, 205,
                        fmt::format("{} changed while it was read.", file.info.file.string()),
                        "Run the command again when nothing writes to it.");
        }
    }
    return file.dataset.get();
}

template <typename Read, typename Stored>
void SourceLayer::read_file(File& file, const Window& window, const Window& part, std::int64_t bands,
                            Stored* values, std::uint8_t* states) {
    const GDALDatasetH dataset = open(file);
    const bool expand = source_->palette == Palette::expand && !file.info.palette.empty();
    std::vector<int> band_list;
    if (expand) {
        band_list.push_back(1);
    } else if (!source_->bands.empty()) {
        for (const std::int64_t band : source_->bands) band_list.push_back(static_cast<int>(band));
    } else {
        for (std::size_t b = 0; b < file.info.bands.size(); ++b) {
            if (!file.info.bands[b].alpha) band_list.push_back(static_cast<int>(b) + 1);
        }
    }
    const auto pixels = static_cast<std::size_t>(part.pixels());
    scratch_.resize(std::max(scratch_.size(), pixels * band_list.size() * sizeof(Read)));
    auto* read = reinterpret_cast<Read*>(scratch_.data());
    const int column = static_cast<int>(part.column - file.place.column);
    const int row = static_cast<int>(part.row - file.place.row);
    const int width = static_cast<int>(part.width);
    const int height = static_cast<int>(part.height);
    const auto unreadable = [&] {
        return Error(ExitCode::data_invalid, 205,
                     fmt::format("{} can't be read at {}: {}.", file.info.file.string(),
                                 Window{column, row, width, height}.text(), gdal_message()),
                     "The file is damaged or truncated; copy it again.");
    };
    const auto what = [&] {
        return fmt::format("{} at {}", file.info.file.string(), Window{column, row, width, height}.text());
    };
    const slow_read::UnderWay under_way(what);
    fault::reading_raster();
    CPLErrorReset();
    if (GDALDatasetRasterIOEx(dataset, GF_Read, column, row, width, height, read, width, height,
                              type_read<Read>, static_cast<int>(band_list.size()), band_list.data(), 0, 0, 0,
                              nullptr) != CE_None) {
        throw unreadable();
    }
    const std::uint8_t* mask = nullptr;
    if (file.info.dataset_mask) {
        mask_scratch_.resize(std::max(mask_scratch_.size(), pixels));
        CPLErrorReset();
        if (GDALRasterIO(GDALGetMaskBand(GDALGetRasterBand(dataset, 1)), GF_Read, column, row, width, height,
                         mask_scratch_.data(), width, height, GDT_Byte, 0, 0) != CE_None) {
            throw unreadable();
        }
        mask = mask_scratch_.data();
    }
    // The rules of each band: the file's own nodata value unless overridden, and the further values.
    std::vector<std::vector<NodataTest<Read>>> rules(band_list.size());
    for (std::size_t b = 0; b < band_list.size(); ++b) {
        const std::optional<double> own = file.info.bands[static_cast<std::size_t>(band_list[b]) - 1].nodata;
        if (source_->nodata) {
            rules[b].emplace_back(*source_->nodata);
        } else if (own) {
            rules[b].emplace_back(*own);
        }
        for (const double value : source_->nodata_also) rules[b].emplace_back(value);
        std::erase_if(rules[b], [](const NodataTest<Read>& rule) { return !rule.active; });
    }
    const auto plane = static_cast<std::size_t>(window.pixels());
    for (std::int64_t y = 0; y < part.height; ++y) {
        for (std::int64_t x = 0; x < part.width; ++x) {
            const auto from = static_cast<std::size_t>(y * part.width + x);
            const auto to = static_cast<std::size_t>((part.row - window.row + y) * window.width +
                                                     part.column - window.column + x);
            if (states[to] == pixel_valid) continue;
            PixelState state = mask != nullptr && mask[from] == 0 ? pixel_missing : pixel_valid;
            for (std::size_t b = 0; b < band_list.size() && state != pixel_missing; ++b) {
                const Read value = read[b * pixels + from];
                for (const auto& rule : rules[b]) {
                    if (rule.matches(value)) state = pixel_missing;
                }
                if constexpr (std::is_floating_point_v<Read>) {
                    if (state == pixel_valid && !std::isfinite(static_cast<Stored>(value)))
                        state = pixel_non_finite;
                }
            }
            if (state == pixel_missing) continue;
            states[to] = state;
            if (state != pixel_valid) continue;
            if (expand) {
                if constexpr (std::is_same_v<Read, std::uint8_t> || std::is_same_v<Read, std::uint16_t>) {
                    const std::size_t index = read[from];
                    if (index >= file.info.palette.size()) {
                        states[to] = pixel_missing;
                        continue;
                    }
                    for (std::size_t b = 0; b < 3; ++b) {
                        values[b * plane + to] = static_cast<Stored>(file.info.palette[index][b]);
                    }
                }
            } else {
                for (std::size_t b = 0; b < static_cast<std::size_t>(bands); ++b) {
                    values[b * plane + to] = static_cast<Stored>(read[b * pixels + from]);
                }
            }
        }
    }
}

template <typename Stored>
void SourceLayer::read_files(const Window& window, std::int64_t bands, Stored* values, std::uint8_t* states) {
    for (File& file : files_) {
        const Window part = intersection(window, file.place);
        if (part.width <= 0 || part.height <= 0) continue;
        if (source_->palette == Palette::expand && !file.info.palette.empty()) {
            if (file.info.dtype == DType::u16) {
                read_file<std::uint16_t>(file, window, part, bands, values, states);
            } else {
                read_file<std::uint8_t>(file, window, part, bands, values, states);
            }
        } else if constexpr (std::is_same_v<Stored, float>) {
            // Wider types are read whole, so that nodata is compared before digits are lost.
            const bool single =
                std::all_of(file.info.bands.begin(), file.info.bands.end(), [](const BandInfo& band) {
                    return band.type == "Float32" || band.type == "Byte" || band.type == "UInt16" ||
                           band.type == "Int16";
                });
            if (single) {
                read_file<float>(file, window, part, bands, values, states);
            } else {
                read_file<double>(file, window, part, bands, values, states);
            }
        } else {
            read_file<Stored>(file, window, part, bands, values, states);
        }
    }
}

bool SourceLayer::read(const Window& window, DType dtype, std::int64_t bands, std::byte* values,
                       std::uint8_t* states) {
    const auto pixels = static_cast<std::size_t>(window.pixels());
    std::fill_n(states, pixels, std::uint8_t{pixel_missing});
    std::fill_n(values, pixels * static_cast<std::size_t>(bands) * size_of(dtype), std::byte{0});
    switch (dtype) {
        case DType::u8:
            read_files(window, bands, reinterpret_cast<std::uint8_t*>(values), states);
            break;
        case DType::u16:
            read_files(window, bands, reinterpret_cast<std::uint16_t*>(values), states);
            break;
        case DType::i16:
            read_files(window, bands, reinterpret_cast<std::int16_t*>(values), states);
            break;
        case DType::u32:
            read_files(window, bands, reinterpret_cast<std::uint32_t*>(values), states);
            break;
        case DType::i32:
            read_files(window, bands, reinterpret_cast<std::int32_t*>(values), states);
            break;
        case DType::f32:
            read_files(window, bands, reinterpret_cast<float*>(values), states);
            break;
        case DType::f64:
        case DType::i8:
        case DType::i64:
        case DType::f16:
        case DType::bf16:
            throw InternalError("rasters are not read in this type");
    }
    return std::any_of(states, states + pixels, [](std::uint8_t state) { return state == pixel_valid; });
}

}  // namespace terrane::raster

#include "raster/describe.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

#include "base/hash.hpp"
#include "base/slow_read.hpp"
#include "raster/open_raster.hpp"

namespace terrane::raster {

namespace {

constexpr std::int64_t largest_edge = std::int64_t{1} << 30;
constexpr int most_bands = 4096;
constexpr std::int64_t largest_block_bytes = std::int64_t{1} << 30;

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& why,
                         const std::string& fix = {}) {
    throw Error(ExitCode::data_invalid, 202, fmt::format("{} {}.", file.string(), why), fix);
}

DType stored_type(GDALDataType type, GDALRasterBandH band, const std::filesystem::path& file) {
    const char* pixel_type = GDALGetMetadataItem(band, "PIXELTYPE", "IMAGE_STRUCTURE");
    if (type == GDT_Byte && pixel_type != nullptr && std::string_view(pixel_type) == "SIGNEDBYTE") {
        refuse(file, "holds signed bytes, which are not supported",
               "Convert it with gdal_translate -ot Int16.");
    }
    switch (type) {
        case GDT_Byte:
            return DType::u8;
        case GDT_UInt16:
            return DType::u16;
        case GDT_Int16:
            return DType::i16;
        case GDT_UInt32:
            return DType::u32;
        case GDT_Int32:
            return DType::i32;
        case GDT_Float32:
        case GDT_Float64:
            return DType::f32;
        default:
            refuse(file, fmt::format("holds {} values, which are not supported", GDALGetDataTypeName(type)),
                   "Convert it with gdal_translate -ot Float32.");
    }
}

}  // namespace

DatasetHandle open_raster(const std::filesystem::path& file) {
    initialise_gdal();
    struct stat status {};
    const auto what = [&] { return "the head of " + file.string(); };
    const slow_read::UnderWay under_way(what);
    const bool plain_file = !file.string().starts_with("/vsi");
    if (plain_file && ::stat(file.c_str(), &status) != 0) {
        throw Error(ExitCode::input_missing, 201,
                    fmt::format("{} can't be opened: {}.", file.string(), std::strerror(errno)));
    }
    CPLErrorReset();
    DatasetHandle dataset(GDALOpenEx(file.c_str(), GDAL_OF_RASTER | GDAL_OF_READONLY | GDAL_OF_VERBOSE_ERROR,
                                     nullptr, nullptr, nullptr));
    if (dataset == nullptr) refuse(file, fmt::format("is no raster that GDAL can open: {}", gdal_message()));
    return dataset;
}

RasterInfo describe_open(GDALDatasetH dataset, const std::filesystem::path& file) {
    RasterInfo info;
    info.file = file;
    info.driver = GDALGetDriverShortName(GDALGetDatasetDriver(dataset));
    info.grid.width = GDALGetRasterXSize(dataset);
    info.grid.height = GDALGetRasterYSize(dataset);
    const int bands = GDALGetRasterCount(dataset);
    if (bands < 1) refuse(file, "has no raster bands");
    if (bands > most_bands || info.grid.width > largest_edge || info.grid.height > largest_edge) {
        refuse(file, fmt::format("claims {} x {} pixels and {} bands, more than is accepted", info.grid.width,
                                 info.grid.height, bands));
    }
    info.has_transform = GDALGetGeoTransform(dataset, info.grid.transform.data()) == CE_None;
    if (info.has_transform) {
        const auto& t = info.grid.transform;
        const double area = t[1] * t[5] - t[2] * t[4];
        if (!std::all_of(t.begin(), t.end(), [](double v) { return std::isfinite(v); }) || area == 0) {
            refuse(file, "has a geotransform that maps all pixels onto a line");
        }
    }
    const OGRSpatialReferenceH reference = GDALGetSpatialRef(dataset);
    if (reference != nullptr) {
        char* wkt = nullptr;
        OptionList options;
        options.set("FORMAT", "WKT2_2019");
        const OGRErr failed = OSRExportToWktEx(reference, &wkt, options.get());
        const std::string text = wkt != nullptr ? wkt : "";
        CPLFree(wkt);
        // A local (engineering) CRS is what GeoTIFF readers make of unreadable keys: as good as none.
        if (failed == OGRERR_NONE && OSRIsLocal(reference) == 0) info.grid.crs = text;
    }
    for (int i = 1; i <= bands; ++i) {
        const GDALRasterBandH band = GDALGetRasterBand(dataset, i);
        BandInfo described;
        described.name = GDALGetDescription(band);
        const GDALColorInterp interpretation = GDALGetRasterColorInterpretation(band);
        described.interpretation = GDALGetColorInterpretationName(interpretation);
        described.alpha = interpretation == GCI_AlphaBand;
        const GDALDataType type = GDALGetRasterDataType(band);
        described.type = GDALGetDataTypeName(type);
        const DType dtype = stored_type(type, band, file);
        if (i == 1) {
            info.dtype = dtype;
        } else if (dtype != info.dtype && !described.alpha) {
            info.dtype = DType::f32;  // bands of mixed types
        }
        int has_nodata = 0;
        const double nodata = GDALGetRasterNoDataValue(band, &has_nodata);
        if (has_nodata != 0) described.nodata = nodata;
        info.bands.push_back(std::move(described));
    }
    const GDALRasterBandH first = GDALGetRasterBand(dataset, 1);
    int block_width = 0, block_height = 0;
    GDALGetBlockSize(first, &block_width, &block_height);
    info.block_width = block_width;
    info.block_height = block_height;
    const std::int64_t block_bytes =
        info.block_width * info.block_height * GDALGetDataTypeSizeBytes(GDALGetRasterDataType(first));
    if (block_bytes > largest_block_bytes) {
        refuse(file,
               fmt::format(
                   "is stored in blocks of {} x {} pixels ({} MB), which can't be read in bounded memory",
                   block_width, block_height, block_bytes >> 20),
               "Rewrite it with gdal_translate -co TILED=YES.");
    }
    info.dataset_mask = (GDALGetMaskFlags(first) & GMF_PER_DATASET) != 0;
    info.overviews = GDALGetOverviewCount(first);
    if (const GDALColorTableH table = GDALGetRasterColorTable(first); table != nullptr) {
        for (int i = 0; i < std::min(GDALGetColorEntryCount(table), 65536); ++i) {
            GDALColorEntry entry{};
            GDALGetColorEntryAsRGB(table, i, &entry);
            info.palette.push_back({entry.c1, entry.c2, entry.c3, entry.c4});
        }
    }
    char** names = GDALGetRasterCategoryNames(first);
    for (int i = 0; i < std::min(CSLCount(names), 65536); ++i) info.category_names.emplace_back(names[i]);
    const char* compression = GDALGetMetadataItem(dataset, "COMPRESSION", "IMAGE_STRUCTURE");
    if (compression != nullptr) info.compression = compression;
    return info;
}

RasterInfo describe(const std::filesystem::path& file) {
    return describe_open(open_raster(file).get(), file);
}

std::vector<BandStatistics> sample_statistics(const std::filesystem::path& file) {
    const DatasetHandle dataset = open_raster(file);
    const RasterInfo info = describe_open(dataset.get(), file);
    const std::int64_t width = std::min<std::int64_t>(info.grid.width, 1024);
    const std::int64_t height = std::min<std::int64_t>(info.grid.height, 1024);
    std::vector<double> values(static_cast<std::size_t>(width * height));
    std::vector<BandStatistics> result;
    for (std::size_t b = 0; b < info.bands.size(); ++b) {
        CPLErrorReset();
        if (GDALRasterIO(GDALGetRasterBand(dataset.get(), static_cast<int>(b) + 1), GF_Read, 0, 0,
                         static_cast<int>(info.grid.width), static_cast<int>(info.grid.height), values.data(),
                         static_cast<int>(width), static_cast<int>(height), GDT_Float64, 0, 0) != CE_None) {
            throw Error(
                ExitCode::data_invalid, 205,
                fmt::format("band {} of {} can't be read: {}.", b + 1, file.string(), gdal_message()));
        }
        BandStatistics statistics;
        statistics.minimum = INFINITY;
        statistics.maximum = -INFINITY;
        double sum = 0, squares = 0;
        std::int64_t valid = 0;
        const std::optional<double> nodata = info.bands[b].nodata;
        for (const double value : values) {
            ++statistics.sampled;
            if (nodata && (value == *nodata || (std::isnan(value) && std::isnan(*nodata)))) {
                ++statistics.nodata;
            } else if (!std::isfinite(value)) {
                ++statistics.non_finite;
            } else {
                ++valid;
                sum += value;
                squares += value * value;
                statistics.minimum = std::min(statistics.minimum, value);
                statistics.maximum = std::max(statistics.maximum, value);
            }
        }
        if (valid > 0) {
            statistics.mean = sum / static_cast<double>(valid);
            statistics.standard_deviation = std::sqrt(
                std::max(0.0, squares / static_cast<double>(valid) - statistics.mean * statistics.mean));
        } else {
            statistics.minimum = statistics.maximum = NAN;
        }
        result.push_back(statistics);
    }
    return result;
}

FileFingerprint fingerprint(const std::filesystem::path& file) {
    struct stat status {};
    std::ifstream stream(file, std::ios::binary);
    if (::stat(file.c_str(), &status) != 0 || !stream) {
        throw Error(ExitCode::input_missing, 201,
                    fmt::format("{} can't be opened: {}.", file.string(), std::strerror(errno)));
    }
    FileFingerprint result;
    result.size = static_cast<std::uint64_t>(status.st_size);
    result.modified_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
    constexpr std::uint64_t part = 64 << 10;
    std::string head(std::min(result.size, part), '\0');
    stream.read(head.data(), static_cast<std::streamsize>(head.size()));
    std::string tail(std::min(result.size, part), '\0');
    stream.seekg(static_cast<std::streamoff>(result.size - tail.size()));
    stream.read(tail.data(), static_cast<std::streamsize>(tail.size()));
    if (!stream) throw Error(ExitCode::io_error, 201, fmt::format("reading {} failed.", file.string()));
    result.hash = sha256(head + tail);
    return result;
}

}  // namespace terrane::raster

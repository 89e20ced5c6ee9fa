#include "raster/mosaic.hpp"

#include <cpl_conv.h>
#include "raster/geotiff.hpp"
#include "raster/sieve.hpp"

namespace terrane::raster {

namespace {

std::string escaped(const std::string& text) {
    char* copy = CPLEscapeString(text.c_str(), static_cast<int>(text.size()), CPLES_XML);
    std::string result = copy;
    CPLFree(copy);
    return result;
}

/// The description of one band of one part, as GDAL's virtual rasters want it.
std::string source_xml(const MosaicPart& part, std::int64_t band) {
    const Window& place = part.place;
    return fmt::format(
        "<SimpleSource><SourceFilename relativeToVRT=\"0\">{}</SourceFilename><SourceBand>{}</SourceBand>"
        "<SrcRect xOff=\"0\" yOff=\"0\" xSize=\"{}\" ySize=\"{}\"/>"
        "<DstRect xOff=\"{}\" yOff=\"{}\" xSize=\"{}\" ySize=\"{}\"/></SimpleSource>",
        escaped(std::filesystem::absolute(part.file).string()), band, place.width, place.height, place.column,
        place.row, place.width, place.height);
}

/// The parts as one virtual raster.
DatasetHandle virtual_raster(const std::filesystem::path& path, const Grid& grid, const RasterFormat& format,
                             const std::vector<MosaicPart>& parts) {
    CPLErrorReset();
    DatasetHandle mosaic(GDALCreate(GDALGetDriverByName("VRT"), "", static_cast<int>(grid.width),
                                    static_cast<int>(grid.height), static_cast<int>(format.bands),
                                    gdal_type(format.dtype), nullptr));
    if (mosaic == nullptr) throw write_error(path, "created", ExitCode::cannot_create);
    describe_dataset(mosaic.get(), path, grid, format);
    for (int b = 1; b <= format.bands; ++b) {
        for (const MosaicPart& part : parts) {
            if (GDALSetMetadataItem(GDALGetRasterBand(mosaic.get(), b), "source_0",
                                    source_xml(part, b).c_str(), "new_vrt_sources") != CE_None) {
                throw write_error(path, "put together from its parts");
            }
        }
    }
    return mosaic;
}

}  // namespace

RasterMosaic::RasterMosaic(std::filesystem::path path, const Grid& grid, RasterFormat format,
                           const std::vector<MosaicPart>& parts, const std::filesystem::path& temporary,
                           const MosaicOptions& options)
    : path_(std::move(path)), temporary_(temporary) {
    initialise_gdal();
    try {
        DatasetHandle mosaic = virtual_raster(path_, grid, format, parts);
        std::optional<Sieve> sieve;
        if (options.smallest_region > 1) {
            sieve.emplace(mosaic.get(), with_suffix(temporary_, ".sieved.tif"), path_, grid, format,
                          options.smallest_region, options.working);
        }
        convert_to_cog(sieve ? sieve->dataset() : mosaic.get(), temporary_, path_, format, options.working);
    } catch (...) {
        remove_quietly(temporary_);
        remove_quietly(with_suffix(temporary_, ".aux.xml"));
        throw;
    }
}

RasterMosaic::~RasterMosaic() {
    if (published_) return;
    remove_quietly(temporary_);
    remove_quietly(with_suffix(temporary_, ".aux.xml"));
}

std::vector<std::uint8_t> RasterMosaic::reduced(std::int64_t width, std::int64_t height) const {
    CPLErrorReset();
    const DatasetHandle dataset(GDALOpen((published_ ? path_ : temporary_).c_str(), GA_ReadOnly));
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width * height));
    if (dataset == nullptr ||
        GDALRasterIO(GDALGetRasterBand(dataset.get(), 1), GF_Read, 0, 0, GDALGetRasterXSize(dataset.get()),
                     GDALGetRasterYSize(dataset.get()), pixels.data(), static_cast<int>(width),
                     static_cast<int>(height), GDT_Byte, 0, 0) != CE_None) {
        throw write_error(path_, "read back");
    }
    return pixels;
}

void RasterMosaic::publish() {
    publish_raster(temporary_, path_);
    published_ = true;
}

void limit_raster_cache(std::size_t bytes) {
    initialise_gdal();
    GDALSetCacheMax64(static_cast<GIntBig>(bytes));
}

}  // namespace terrane::raster

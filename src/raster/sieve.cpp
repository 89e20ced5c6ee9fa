#include "raster/sieve.hpp"

#include <gdal_alg.h>

#include "raster/geotiff.hpp"

namespace terrane::raster {

Sieve::Sieve(GDALDatasetH map, std::filesystem::path file, const std::filesystem::path& path,
             const Grid& grid, const RasterFormat& format, std::int64_t smallest_region,
             const std::function<void()>& working)
    : file_(std::move(file)) {
    TERRANE_ASSERT(format.bands == 1 && format.dtype == DType::u8, "regions of {} bands", format.bands);
    OptionList options;
    options.set("TILED", "YES");  // COGs are read from it tile by tile
    options.set("COMPRESS", "DEFLATE");
    options.set("ZLEVEL", "1");
    options.set("BIGTIFF", "IF_SAFER");
    CPLErrorReset();
    dataset_.reset(GDALCreate(GDALGetDriverByName("GTiff"), file_.c_str(), static_cast<int>(grid.width),
                              static_cast<int>(grid.height), 1, GDT_Byte, options.get()));
    if (dataset_ == nullptr) throw write_error(path, "created", ExitCode::cannot_create);
    try {
        describe_dataset(dataset_.get(), path, grid, format);
        const GDALRasterBandH source = GDALGetRasterBand(map, 1);
        const int four_neighbours = 4;
        if (GDALSieveFilter(source, GDALGetMaskBand(source), GDALGetRasterBand(dataset_.get(), 1),
                            static_cast<int>(smallest_region), four_neighbours, nullptr, &report_working,
                            progress_argument(working)) != CE_None ||
            CPLGetLastErrorType() >= CE_Failure) {
            throw write_error(path, "freed of small regions");
        }
    } catch (...) {
        dataset_.reset();
        remove_quietly(file_);
        throw;
    }
}

Sieve::~Sieve() {
    dataset_.reset();
    remove_quietly(file_);
    remove_quietly(with_suffix(file_, ".aux.xml"));
}

}  // namespace terrane::raster

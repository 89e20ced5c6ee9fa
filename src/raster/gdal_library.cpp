#include "raster/gdal_library.hpp"

#include <gdal.h>

#include "raster/gdal_handles.hpp"

namespace terrane::raster {

std::string gdal_version() {
    return GDALVersionInfo("RELEASE_NAME");
}

std::vector<std::string> missing_drivers() {
    initialise_gdal();
    std::vector<std::string> missing;
    for (const char* driver : {"GTiff", "COG", "PNG", "MEM", "VRT"}) {
        if (GDALGetDriverByName(driver) == nullptr) missing.emplace_back(driver);
    }
    return missing;
}

}  // namespace terrane::raster

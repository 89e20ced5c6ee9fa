#pragma once

#include <string>
#include <vector>

namespace terrane::raster {

/// "3.6.2"
std::string gdal_version();
/// The drivers the program writes with that this GDAL was built without; empty if all is well.
std::vector<std::string> missing_drivers();

}  // namespace terrane::raster

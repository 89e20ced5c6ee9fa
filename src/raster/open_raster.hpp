#pragma once

// Internal to src/raster.
#include <cpl_conv.h>

#include <filesystem>

#include "raster/describe.hpp"
#include "raster/gdal_handles.hpp"

namespace terrane::raster {

/// Opens a raster read-only. Throws Error E0201 (missing) or E0202 (not a raster).
DatasetHandle open_raster(const std::filesystem::path& file);
/// describe() of an open dataset, with its checks.
RasterInfo describe_open(GDALDatasetH dataset, const std::filesystem::path& file);

}  // namespace terrane::raster

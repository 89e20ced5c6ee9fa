#pragma once

// Internal to src/raster: what every GeoTIFF that we write has in common.
#include <filesystem>
#include <functional>
#include <string>

#include "base/error.hpp"
#include "raster/gdal_handles.hpp"
#include "raster/writer.hpp"

namespace terrane::raster {

inline constexpr int tiff_block = 512;

/// Error E0903: `path` can't be `what`, with GDAL's reason.
Error write_error(const std::filesystem::path& path, const std::string& what,
                  ExitCode code = ExitCode::io_error);
void remove_quietly(const std::filesystem::path& path);
std::filesystem::path with_suffix(std::filesystem::path path, const std::string& suffix);

/// Sets transform, CRS, nodata, band names and legend of a new dataset. `path` is named in errors.
void describe_dataset(GDALDatasetH dataset, const std::filesystem::path& path, const Grid& grid,
                      const RasterFormat& format);
/// Flushes, closes and syncs; GDAL 3.6 reports a failure of the close through its error state only.
void close_checked(DatasetHandle& handle, const std::filesystem::path& file,
                   const std::filesystem::path& path);
/// Copies a dataset into the cloud-optimised file `file`, which will be published as `path`; calls `working`
/// many times meanwhile.
void convert_to_cog(GDALDatasetH source, const std::filesystem::path& file, const std::filesystem::path& path,
                    const RasterFormat& format, const std::function<void()>& working = {});
/// A GDALProgressFunc that calls a function; its argument is progress_argument of that function.
extern "C" int report_working(double, const char*, void* working);
void* progress_argument(const std::function<void()>& working);
/// Moves `file` and its sidecar with category names to their final names.
void publish_raster(const std::filesystem::path& file, const std::filesystem::path& path);

}  // namespace terrane::raster

#pragma once

// Internal to src/raster.
#include <filesystem>
#include <functional>

#include "raster/gdal_handles.hpp"
#include "raster/writer.hpp"

namespace terrane::raster {

/// A copy of a class map without its small regions, in a file that lives as long as this.
class Sieve {
  public:
    /// Regions of `map` (one band of bytes; pixels that share an edge are connected) with fewer than
    /// `smallest_region` pixels take the value of their largest neighbour; nodata stays and is nobody's
    /// neighbour. Works line by line; memory grows with the number of regions, some 30 bytes for each. `path`
    /// is named in errors (E0903).
    Sieve(GDALDatasetH map, std::filesystem::path file, const std::filesystem::path& path, const Grid& grid,
          const RasterFormat& format, std::int64_t smallest_region, const std::function<void()>& working);
    ~Sieve();
    Sieve(const Sieve&) = delete;
    Sieve& operator=(const Sieve&) = delete;

    GDALDatasetH dataset() const { return dataset_.get(); }

  private:
    std::filesystem::path file_;
    DatasetHandle dataset_;
};

}  // namespace terrane::raster

#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "raster/writer.hpp"

namespace terrane::raster {

/// One file of a mosaic and the pixels of the whole that it holds.
struct MosaicPart {
    std::filesystem::path file;
    Window place;
};

struct MosaicOptions {
    /// Regions of equal values (pixels that share an edge) with fewer pixels than this take the value of
    /// their largest neighbour; pixels without a value neither change nor count. One band of bytes; 0, 1: as
    /// it is.
    std::int64_t smallest_region = 0;
    std::function<void()> working = {};  ///< called many times meanwhile; must not throw
};

/// Puts rasters that several ranks wrote together into one cloud-optimised GeoTIFF, block by block, never as
/// a whole in memory. The result's bytes depend on the pixels only, not on how they were shared out.
class RasterMosaic {
  public:
    /// Builds the file at `temporary`, a .tif on the file system of `path`. The parts have the format's type
    /// and bands. Throws Error E0903 (74; 73 if it can't be created).
    RasterMosaic(std::filesystem::path path, const Grid& grid, RasterFormat format,
                 const std::vector<MosaicPart>& parts, const std::filesystem::path& temporary,
                 const MosaicOptions& options = {});
    /// Removes what was not published.
    ~RasterMosaic();
    RasterMosaic(const RasterMosaic&) = delete;
    RasterMosaic& operator=(const RasterMosaic&) = delete;

    /// The first band at another size, u8 [height, width], from the overview that is nearest in size: for
    /// pictures.
    std::vector<std::uint8_t> reduced(std::int64_t width, std::int64_t height) const;

    /// Gives the file its final name; category names go beside it, to `path` + ".aux.xml".
    void publish();

  private:
    std::filesystem::path path_;
    std::filesystem::path temporary_;
    bool published_ = false;
};

/// Bytes that GDAL may keep of blocks read and written, over all files.
void limit_raster_cache(std::size_t bytes);

}  // namespace terrane::raster

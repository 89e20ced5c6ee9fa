#pragma once

// Internal to src/raster.
#include <list>
#include <vector>

#include "raster/open_raster.hpp"
#include "raster/reader.hpp"

namespace terrane::raster {

/// Why a source pixel can or can't be used.
enum PixelState : std::uint8_t { pixel_missing = 0, pixel_valid = 1, pixel_non_finite = 2 };

/// Rasters on one common pixel lattice, read as if they were one.
class SourceLayer {
  public:
    SourceLayer(const RasterInfo& first, const Source& source);

    /// Adds the raster if its pixels lie on this layer's lattice; false otherwise.
    bool add(const RasterInfo& info);

    /// CRS and lattice; the pixel at (0, 0) is the first file's. Width and height are not meaningful.
    const Grid& grid() const { return grid_; }
    /// The pixels that the files cover.
    const Window& extent() const { return extent_; }

    /// Reads a window, which may reach outside of the files: `values` is [bands][height][width] of `dtype`, 0
    /// where not valid, `states` [height][width]. Returns whether any pixel is valid. Throws Error E0205.
    bool read(const Window& window, DType dtype, std::int64_t bands, std::byte* values, std::uint8_t* states);

  private:
    struct File {
        RasterInfo info;
        Window place;           // its pixels in the layer
        DatasetHandle dataset;  // open only while among the most recently used
        std::uint64_t last_used = 0;
    };
    GDALDatasetH open(File& file);
    template <typename Read, typename Stored>
    void read_file(File& file, const Window& window, const Window& part, std::int64_t bands, Stored* values,
                   std::uint8_t* states);
    template <typename Stored>
    void read_files(const Window& window, std::int64_t bands, Stored* values, std::uint8_t* states);

    const Source* source_;
    Grid grid_;
    Window extent_;
    std::vector<File> files_;
    std::uint64_t uses_ = 0;
    std::vector<std::byte> scratch_;
    std::vector<std::uint8_t> mask_scratch_;
};

}  // namespace terrane::raster

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "raster/grid.hpp"
#include "tensor/dtype.hpp"

namespace terrane::raster {

enum class Resampling { nearest, bilinear, cubic, average };
/// From the configuration's word. Throws Error E0502.
Resampling resampling_from_name(const std::string& name);

/// Whether colour-table indices are replaced by their red, green and blue.
enum class Palette { keep, expand };

/// The rasters of one modality (or label) of one scene, and how to read them.
struct Source {
    std::string table;                         ///< "[[modality]] dem" or "[label]", for messages
    std::vector<std::filesystem::path> files;  ///< mosaicked: where several are valid the first one wins
    std::vector<std::int64_t> bands;           ///< 1-based; empty: all but alpha
    Resampling resampling = Resampling::nearest;
    std::optional<double> nodata;  ///< instead of the raster's own value
    std::vector<double> nodata_also;
    std::string crs;         ///< instead of the raster's own; empty: the raster's own; see placement.hpp
    std::int64_t scale = 1;  ///< in pixel coordinates: how many units a pixel is wide
    Palette palette = Palette::keep;
};

/// Reads windows of a grid from rasters of any CRS, resolution and extent.
///
/// A source pixel is valid if no selected band holds nodata, NaN or infinity and no mask or alpha band
/// excludes it. Invalid pixels take no part in resampling. A pixel of the grid is valid if at least half of
/// its resampling kernel's weight lies on valid source pixels and (except for `average`) so does its centre.
/// Its value depends on its place in the grid only, never on the window it is read with: neighbouring windows
/// fit bit for bit.
///
/// Memory is bounded by the window (and by 256 MB of source pixels at a time where the grid is much coarser).
/// One reader serves one thread; several readers may work at the same time.
class AlignedReader {
  public:
    /// Opens all files. Errors: E0201 missing, E0202 unreadable, E0203 no CRS, E0204 no geotransform,
    /// E0206 band out of range, E0207 element types differ so that no common one exists.
    AlignedReader(Source source, Grid target);
    ~AlignedReader();
    AlignedReader(AlignedReader&&) noexcept;
    AlignedReader& operator=(AlignedReader&&) noexcept;

    const Grid& grid() const;
    const Source& source() const;
    /// Element type of the values: the source's own, float64 as float32.
    DType dtype() const;
    std::int64_t bands() const;
    /// Descriptions of the selected bands, "band 3" where the file has none.
    const std::vector<std::string>& band_names() const;
    /// Envelope of the files in the grid's CRS.
    const Bounds& bounds() const;

    struct Counts {
        std::int64_t valid = 0;
        std::int64_t non_finite = 0;  ///< pixels masked because their source pixel is NaN or infinite
    };
    /// Reads `window` (which may reach outside the grid). `values`: [height, width, bands] of dtype(), 0
    /// where invalid; `mask`: [height, width], 1 valid, 0 not. Throws Error E0205 naming file and window if a
    /// file can't be read there.
    Counts read(const Window& window, std::span<std::byte> values, std::span<std::uint8_t> mask);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace terrane::raster

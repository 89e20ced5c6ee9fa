#pragma once

#include <array>
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

/// How a raster's values mean classes: written as palette and category names.
struct ClassLegend {
    struct Entry {
        int value = 0;  ///< 0..254
        std::string name;
        std::array<int, 3> color{0, 0, 0};
    };
    std::vector<Entry>
        entries;  ///< values without an entry become black (TIFF palettes have no transparency)
};

enum class RasterLayout {
    cloud_optimized,  ///< COG: tiled 512, overviews; written at finish() from a temporary
    tiled,            ///< plain tiled GeoTIFF, for synthetic data
    part,  ///< plain GeoTIFF with flat tiles, for RasterMosaic: cheap to write a few rows at a time
};

/// Rows of a tile of RasterLayout::part: writing in multiples of them never compresses a tile twice.
inline constexpr int part_block_rows = 64;

struct RasterFormat {
    DType dtype = DType::u8;  ///< u8, u16, i16, u32, i32, f32 or f64
    std::int64_t bands = 1;
    std::optional<double> nodata;
    std::vector<std::string> band_names;
    std::optional<ClassLegend> legend;  ///< for u8 with one band; overviews are then by MODE, else by AVERAGE
    RasterLayout layout = RasterLayout::cloud_optimized;
};

/// A class map: uint8, nodata 255, palette and names, as docs/formats.md promises.
RasterFormat class_map_format(ClassLegend legend);

/// Writes a georeferenced GeoTIFF window by window without ever holding it in memory.
///
/// Everything goes to temporary names beside `path` first; finish() publishes by rename. Without finish() (an
/// exception, say) the destructor removes the temporaries and an older file at `path` stays as it was.
/// Parts never written hold nodata (0 without). Fastest with windows of whole rows in multiples of 512 rows,
/// in ascending order. Every write is checked: Error E0903 (74) with GDAL's reason, also on a full disk.
class RasterWriter {
  public:
    /// Throws Error E0903 (73) if the file can't be created.
    RasterWriter(std::filesystem::path path, const Grid& grid, RasterFormat format);
    ~RasterWriter();
    RasterWriter(RasterWriter&&) noexcept;
    RasterWriter& operator=(RasterWriter&&) noexcept;

    /// `values`: [height, width, bands] of the format's dtype; the window must lie within the grid.
    void write(const Window& window, std::span<const std::byte> values);
    /// Builds overviews, syncs and publishes. Category names go to `path` + ".aux.xml", where GDAL looks for
    /// them.
    void finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Writes an 8-bit PNG through GDAL and publishes it by rename. `pixels`: [height, width, channels], channels
/// 1 (grey), 3 (RGB) or 4 (RGBA). Throws Error E0903.
void write_png(const std::filesystem::path& path, std::int64_t width, std::int64_t height,
               std::int64_t channels, std::span<const std::uint8_t> pixels);
/// The content of such a file.
std::vector<std::byte> encode_png(std::int64_t width, std::int64_t height, std::int64_t channels,
                                  std::span<const std::uint8_t> pixels);

}  // namespace terrane::raster

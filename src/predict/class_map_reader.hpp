#pragma once

#include <filesystem>
#include <map>
#include <unordered_map>
#include <vector>

#include "config/config.hpp"
#include "raster/reader.hpp"
#include "tiles/label_coding.hpp"

// Internal to src/predict.
namespace terrane::predict {

/// Where a map says nothing.
inline constexpr std::uint8_t no_prediction = 255;

/// Reads a map as indices into the configuration's classes.
class ClassMapReader {
  public:
    /// Throws Error E0321 if the file has several bands.
    ClassMapReader(const config::Config& config, const std::filesystem::path& file);

    const raster::Grid& grid() const { return reader_.grid(); }
    /// Class index per pixel, or no_prediction; valid until the next call. The window may reach outside.
    std::span<const std::uint8_t> read(const raster::Window& window);
    /// Values met so far that are no class, with their pixels.
    const std::map<std::int64_t, std::int64_t>& unknown() const { return unknown_; }

  private:
    std::unordered_map<std::int64_t, std::uint8_t> classes_;
    raster::AlignedReader reader_;
    std::vector<std::byte> values_;
    std::vector<std::uint8_t> mask_, indices_;
    std::map<std::int64_t, std::int64_t> unknown_;
};

/// Reads label rasters as class indices under the pixels of a map.
class TruthReader {
  public:
    /// Throws Error E0208 if the files and the grid do not overlap.
    TruthReader(const config::Config& config, const std::vector<std::filesystem::path>& files,
                const raster::Grid& grid, const std::filesystem::path& map);

    /// Class index per pixel, 255 where ignored or unknown; valid until the next call.
    std::span<std::uint8_t> read(const raster::Window& window);

  private:
    tiles::LabelCoding coding_;
    raster::AlignedReader reader_;
    std::vector<std::byte> values_;
    std::vector<std::uint8_t> mask_, label_;
};

}  // namespace terrane::predict

#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <unordered_map>
#include <vector>

#include "config/config.hpp"
#include "raster/reader.hpp"

namespace terrane::tiles {

/// Turns what label rasters hold into class indices. Raster values (index encoding) or colours 0xRRGGBB
/// (palette encoding) go through label.remap, then label.ignore, then the ids or colours of [[class]].
class LabelCoding {
  public:
    explicit LabelCoding(const config::Config& config);

    /// Class index per pixel, 255 where invalid, ignored or undefined. `values`: [pixels, bands] as read.
    void encode(const raster::AlignedReader& reader, std::span<const std::byte> values,
                std::span<const std::uint8_t> mask, std::span<std::uint8_t> label) const;

    /// Reads whole label rasters and throws Error E0311 if one holds values or colours of no class (unless
    /// label.undefined = "ignore"), with their pixel counts.
    void check(const std::vector<std::filesystem::path>& files) const;

    std::size_t classes() const { return config_.classes.size(); }

  private:
    static constexpr int unknown = -1;
    /// Class index, 255 for ignored, or `unknown`.
    int code(std::int64_t value) const;
    /// The value of a pixel as a number: the index, or 0xRRGGBB.
    template <typename Function>
    void for_each(const raster::AlignedReader& reader, std::span<const std::byte> values,
                  std::span<const std::uint8_t> mask, const Function& function) const;

    const config::Config& config_;
    bool palette_;
    std::unordered_map<std::int64_t, int> codes_;
};

}  // namespace terrane::tiles

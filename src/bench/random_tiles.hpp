#pragma once

#include <vector>

#include "data/tile_source.hpp"

namespace terrane::bench {

/// Tiles that cost nothing to read: one block of random pixels and labels in memory, shown again as every
/// tile. For measurements of everything but the input.
class RandomTiles final : public data::TileSource {
  public:
    /// Modalities, edge and classes like those of other tiles; values are f32 with mean 0 and deviation 1.
    RandomTiles(const data::TileLayout& like, std::int64_t tiles);

    const data::TileLayout& layout() const override { return layout_; }
    std::int64_t size() const override { return tiles_; }
    std::span<const std::int64_t> class_pixels(std::int64_t) const override { return class_pixels_; }
    std::string identity() const override { return "random"; }
    std::string describe(std::int64_t tile) const override;
    void read(std::int64_t tile, data::TileMemory& destination) override;

  private:
    data::TileLayout layout_;
    std::int64_t tiles_;
    std::vector<std::vector<float>> values_;  ///< per modality
    std::vector<std::uint8_t> labels_;
    std::vector<std::int64_t> class_pixels_;
};

}  // namespace terrane::bench

#pragma once

#include "config/config.hpp"
#include "data/tile_source.hpp"
#include "tiles/store.hpp"

namespace terrane::data {

/// The tiles of one split of a tile store. Has its own reader; make one for each thread.
class StoreSource final : public TileSource {
  public:
    /// The normalisation is that of the store's training tiles, by modality.norm, multiply, add and clip:
    ///   standard: (v - mean) / standard deviation;  minmax: (v - minimum) / (maximum - minimum);  none: v.
    /// A band that is constant in the training tiles is only shifted. The store must outlive the source.
    StoreSource(const tiles::TileStore& store, tiles::Split split, const config::Config& config);

    /// Takes the normalisation from weights that were trained on another store. Throws Error E0606 (78) if
    /// their modalities are not the store's.
    void normalise_as(std::span<const ModalityLayout> modalities);

    const TileLayout& layout() const override { return layout_; }
    std::int64_t size() const override { return static_cast<std::int64_t>(tiles_.size()); }
    std::span<const std::int64_t> class_pixels(std::int64_t tile) const override;
    std::string identity() const override { return store_.identity(); }
    std::string describe(std::int64_t tile) const override;
    void read(std::int64_t tile, TileMemory& destination) override;

  private:
    const tiles::TileStore& store_;
    std::span<const std::int64_t> tiles_;
    tiles::TileReader reader_;
    TileLayout layout_;
    tiles::TileBuffers buffers_;  ///< views of the destination, kept so that reading allocates nothing
};

}  // namespace terrane::data

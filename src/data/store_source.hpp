#pragma once

#include <optional>

#include "config/config.hpp"
#include "data/tile_source.hpp"
#include "tiles/store.hpp"

namespace terrane::data {

/// The tiles of one split of a tile store. Has its own reader; make one for each thread.
class StoreSource final : public TileSource {
  public:
    /// What is read beside the modalities: labels, or also the maps of weak supervision that the loss looks
    /// at; with those, class_pixels() counts what is learned from (config::counted_map).
    enum class Maps { labels, of_loss };

    /// The normalisation is that of the store's training tiles, by modality.norm, multiply, add and clip:
    ///   standard: (v - mean) / standard deviation;  minmax: (v - minimum) / (maximum - minimum);  none: v.
    /// A band that is constant in the training tiles is only shifted. The store must outlive the source.
    /// Throws Error E0405 (65) if the store lacks a map that the loss looks at.
    StoreSource(const tiles::TileStore& store, tiles::Split split, const config::Config& config,
                Maps maps = Maps::labels);

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
    tiles::TileBuffers buffers_;     ///< views of the destination, kept so that reading allocates nothing
    std::vector<std::size_t> maps_;  ///< the layout's maps by their position in the store
    std::optional<std::size_t> counted_;  ///< the map whose classes count; none: the labels
};

}  // namespace terrane::data

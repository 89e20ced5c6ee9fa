#pragma once

#include <vector>

#include "tiles/store.hpp"

namespace terrane::tiles {

/// Memory for one whole tile of a store, for tools that look at tiles one after another.
class TileMemory {
  public:
    explicit TileMemory(const Manifest& manifest) {
        for (const StoredModality& modality : manifest.modalities) {
            values.emplace_back(values_bytes(manifest, modality));
            masks.emplace_back(mask_bytes(manifest, modality));
        }
        label.resize(label_bytes(manifest));
        maps.assign(manifest.maps.size(), std::vector<std::uint8_t>(label_bytes(manifest)));
        for (std::size_t m = 0; m < values.size(); ++m) {
            buffers_.values.emplace_back(values[m]);
            buffers_.masks.emplace_back(masks[m]);
        }
        buffers_.label = label;
        for (std::vector<std::uint8_t>& map : maps) buffers_.maps.emplace_back(map);
    }
    TileMemory(const TileMemory&) = delete;
    TileMemory& operator=(const TileMemory&) = delete;

    const TileBuffers& buffers() const { return buffers_; }
    std::size_t bytes() const {
        std::size_t sum = label.size() * (1 + maps.size());
        for (std::size_t m = 0; m < values.size(); ++m) sum += values[m].size() + masks[m].size();
        return sum;
    }

    std::vector<std::vector<std::byte>> values;
    std::vector<std::vector<std::uint8_t>> masks;
    std::vector<std::uint8_t> label;
    std::vector<std::vector<std::uint8_t>> maps;  ///< in the order of Manifest::maps

  private:
    TileBuffers buffers_;
};

}  // namespace terrane::tiles

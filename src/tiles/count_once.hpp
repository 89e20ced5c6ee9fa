#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "tiles/manifest.hpp"

namespace terrane::tiles {

/// Ignores the labels that earlier val and test tiles of a scene hold already, so that scores count every
/// pixel once; with `active` false it leaves all labels alone (grid.scoring = "windows").
class CountOnce {
  public:
    explicit CountOnce(bool active = true) : active_(active) {}

    /// `label`: [window.height, window.width] of the tile.
    void apply(const TileRecord& tile, std::span<std::uint8_t> label) const {
        if (!active_ || tile.split == Split::train) return;
        const raster::Window& own = tile.window;
        for (const raster::Window& other : seen_) {
            const std::int64_t left = std::max(own.column, other.column), top = std::max(own.row, other.row);
            const std::int64_t right = std::min(own.column + own.width, other.column + other.width);
            const std::int64_t bottom = std::min(own.row + own.height, other.row + other.height);
            for (std::int64_t row = top; row < bottom && left < right; ++row) {
                const auto begin = label.begin() + ((row - own.row) * own.width + left - own.column);
                std::fill(begin, begin + (right - left), ignored_label);
            }
        }
    }
    void add(const TileRecord& tile) {
        if (tile.split != Split::train) seen_.push_back(tile.window);
    }

  private:
    bool active_;
    std::vector<raster::Window> seen_;
};

}  // namespace terrane::tiles

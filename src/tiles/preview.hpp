#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "tiles/store.hpp"

namespace terrane::tiles {

/// Writes a PNG with one row per tile, `count` tiles spread evenly over a split (or the store): every
/// modality stretched to two standard deviations around the tile's mean (first three bands as red, green and
/// blue, or grey), invalid pixels in a violet check pattern, then the labels in their classes' colours,
/// ignored ones black.
void write_preview(const TileStore& store, std::optional<Split> split, std::int64_t count,
                   const std::filesystem::path& path);

}  // namespace terrane::tiles

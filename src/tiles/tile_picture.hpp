#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "tiles/manifest.hpp"
#include "tiles/tile_memory.hpp"

namespace terrane::tiles {

/// RGB, white where nothing was drawn.
struct Picture {
    Picture(std::int64_t picture_width, std::int64_t picture_height)
        : width(picture_width),
          height(picture_height),
          pixels(static_cast<std::size_t>(picture_width * picture_height * 3), 255) {}

    void put(std::int64_t x, std::int64_t y, std::array<std::uint8_t, 3> color);

    std::int64_t width, height;
    std::vector<std::uint8_t> pixels;  ///< [height, width, 3]
};

/// Where in a picture a tile is drawn, and how small: every stride-th pixel of every stride-th row.
struct PicturePlace {
    std::int64_t left = 0;
    std::int64_t top = 0;
    std::int64_t stride = 1;
};

/// One modality of a tile, stretched to two standard deviations around the tile's mean (first three bands as
/// red, green and blue, or grey), invalid pixels in a violet check pattern.
void draw_modality(const Manifest& manifest, const TileMemory& memory, std::size_t modality, Picture& picture,
                   PicturePlace place);
/// A class map of a tile ([tile, tile], class indices) in the classes' colours, other values black.
void draw_classes(const Manifest& manifest, std::span<const std::uint8_t> classes, Picture& picture,
                  PicturePlace place);

/// A distance map of a tile ([tile, tile], bytes) in grey.
void draw_distances(const Manifest& manifest, std::span<const std::uint8_t> distances, Picture& picture,
                    PicturePlace place);

}  // namespace terrane::tiles

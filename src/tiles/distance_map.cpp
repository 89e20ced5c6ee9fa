#include "tiles/distance_map.hpp"

#include <algorithm>
#include <cmath>

#include "base/distance_transform.hpp"

namespace terrane::tiles {

DistanceMap::DistanceMap(From from, double lambda, std::int64_t background, std::int64_t scene_width,
                         std::int64_t scene_height)
    : from_(from),
      root_(std::sqrt(lambda)),
      background_(background),
      scene_width_(scene_width),
      scene_height_(scene_height) {}

int DistanceMap::region(std::uint8_t value) const {
    if (background_ >= 0) return is_object(value) ? 1 : 0;
    return value;
}

void DistanceMap::mark_sources(std::span<const std::uint8_t> classes, const raster::Window& window) {
    sources_.assign(classes.size(), 0);
    const auto width = static_cast<std::size_t>(window.width);
    const auto height = static_cast<std::size_t>(window.height);
    for (std::size_t y = 0; y < height; ++y) {
        for (std::size_t x = 0; x < width; ++x) {
            const std::size_t i = y * width + x;
            if (!is_object(classes[i])) continue;
            if (from_ == From::scribble) {
                sources_[i] = 1;
                continue;
            }
            const int own = region(classes[i]);
            const bool border = (x > 0 && region(classes[i - 1]) != own) ||
                                (x + 1 < width && region(classes[i + 1]) != own) ||
                                (y > 0 && region(classes[i - width]) != own) ||
                                (y + 1 < height && region(classes[i + width]) != own);
            sources_[i] = border ? 1 : 0;
        }
    }
}

void DistanceMap::fill(const raster::Window& window, const ReadClasses& read, std::span<std::uint8_t> map) {
    // A source at this many pixels or more gives 255, like none; one more so that contours see their
    // neighbours.
    const auto margin = static_cast<std::int64_t>(std::ceil(255 / root_)) + 1;
    raster::Window wide;
    wide.column = std::max<std::int64_t>(0, window.column - margin);
    wide.row = std::max<std::int64_t>(0, window.row - margin);
    wide.width = std::min(scene_width_, window.column + window.width + margin) - wide.column;
    wide.height = std::min(scene_height_, window.row + window.height + margin) - wide.row;
    mark_sources(read(wide), wide);
    const std::vector<std::int32_t> squared = squared_distances(sources_, wide.height, wide.width);
    for (std::int64_t y = 0; y < window.height; ++y) {
        for (std::int64_t x = 0; x < window.width; ++x) {
            const auto place = static_cast<std::size_t>((y + window.row - wide.row) * wide.width + x +
                                                        window.column - wide.column);
            const double scaled =
                squared[place] == no_distance ? 255 : std::min(255.0, root_ * std::sqrt(squared[place]));
            const auto byte = static_cast<std::uint8_t>(std::lround(scaled));
            map[static_cast<std::size_t>(y * window.width + x)] =
                from_ == From::scribble ? static_cast<std::uint8_t>(255 - byte) : byte;
        }
    }
}

}  // namespace terrane::tiles

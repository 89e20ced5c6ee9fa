#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "raster/grid.hpp"

namespace terrane::tiles {

/// Reads class indices (255: none) of a window inside the scene.
using ReadClasses = std::function<std::span<const std::uint8_t>(const raster::Window&)>;

/// The distance maps of weak supervision, one byte per pixel. With d the exact distance in pixels over the
/// whole scene and s = min(255, sqrt(lambda) * d), rounded:
///   scribble: 255 - s, d to the nearest scribble of an object's class: 255 on it, falling off outwards
///   contour:  s, d to the nearest contour of the objects: 0 on it, growing to both sides
/// Objects are all classes but `background` (-1: all). The contour are the pixels of an object that have a
/// pixel of another region beside, above or below them; regions are the objects together and the rest,
/// without a background every class for itself. The edge of the scene is no contour.
///
/// No pixel farther away than 255 / sqrt(lambda) matters, so a window is computed from itself and that
/// margin.
class DistanceMap {
  public:
    enum class From { scribble, contour };

    DistanceMap(From from, double lambda, std::int64_t background, std::int64_t scene_width,
                std::int64_t scene_height);

    /// The map of a window inside the scene, [window.height, window.width].
    void fill(const raster::Window& window, const ReadClasses& read, std::span<std::uint8_t> map);

  private:
    bool is_object(std::uint8_t value) const { return value != 255 && value != background_; }
    /// The same number for pixels of the same region.
    int region(std::uint8_t value) const;
    void mark_sources(std::span<const std::uint8_t> classes, const raster::Window& window);

    From from_;
    double root_;  ///< of lambda
    std::int64_t background_;
    std::int64_t scene_width_, scene_height_;
    std::vector<std::uint8_t> sources_;
};

}  // namespace terrane::tiles

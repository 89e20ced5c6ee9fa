#pragma once

#include <cstdint>
#include <span>

#include "synth/landscape.hpp"
#include "synth/sensors.hpp"

/// What weak supervision learns from, of the landscape whose truth is known. Both are pure functions of
/// (seed, position), whatever the window.
namespace terrane::synth {

/// Scribbles as a person draws them: in every cell of 32 m thin strokes, each inside an area of one class,
/// not touching its border; 255 elsewhere.
void render_scribbles(const Landscape& landscape, const PixelGrid& grid, const PixelWindow& window,
                      std::span<std::uint8_t> labels);

/// Pseudo-labels as a first, poor network gives them: outlines displaced by up to 3 m, every sixth building,
/// tree and car overlooked, and nothing said (255) where it is in doubt.
void render_pseudo_labels(const Landscape& landscape, const PixelGrid& grid, const PixelWindow& window,
                          std::span<std::uint8_t> labels);

}  // namespace terrane::synth

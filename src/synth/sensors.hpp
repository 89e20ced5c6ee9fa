#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "synth/landscape.hpp"
#include "synth/surface.hpp"

namespace terrane::synth {

/// A north-up pixel grid in scene metres.
struct PixelGrid {
    double origin_x = 0;  ///< upper left corner
    double origin_y = 0;
    double pixel = 1;  ///< ground sampling distance
    std::int64_t columns = 0;
    std::int64_t rows = 0;

    Point center(std::int64_t column, std::int64_t row) const {
        return {origin_x + (static_cast<double>(column) + 0.5) * pixel,
                origin_y + (static_cast<double>(row) + 0.5) * pixel};
    }
};

/// A rectangle of pixels of a grid.
struct PixelWindow {
    std::int64_t column = 0;
    std::int64_t row = 0;
    std::int64_t columns = 0;
    std::int64_t rows = 0;

    std::size_t area() const { return static_cast<std::size_t>(columns * rows); }
};

inline constexpr double optical_pixel = 0.5;
inline constexpr double height_pixel = 1.0;
inline constexpr double sar_pixel = 2.0;
inline constexpr float height_nodata = -9999.0f;
inline constexpr float sar_nodata = -9999.0f;
inline constexpr std::uint8_t optical_nodata = 0;

/// The scene's rasters: `size` optical pixels per side; the radar image on its own grid around them.
PixelGrid optical_grid(std::int64_t size);
PixelGrid sar_grid(std::int64_t size);

/// Optical image and truth of one window, from one look at the surface. `bands` receives [row, column, band]
/// with red, green, blue and near infrared (uint8, 0 = nodata), `labels` the class numbers (255 = not
/// labelled).
void render_optical(const Landscape& landscape, const PixelGrid& grid, const PixelWindow& window,
                    std::span<std::uint8_t> bands, std::span<std::uint8_t> labels);

/// Heights of the surface in metres as an airborne lidar sees them: 5 cm noise, no echo from most water
/// (-9999). `points` are the pixel centres of the window in scene metres, whatever the raster's own
/// coordinate system.
void render_height(const Landscape& landscape, const PixelWindow& window, std::span<const Point> points,
                   std::span<float> heights);

/// Backscatter in decibels, [row, column, band] with VV and VH, with four-look gamma-distributed
/// multiplicative speckle, double bounce at walls facing the sensor (in the west) and radar shadow behind
/// them; -9999 outside the swath.
void render_sar(const Landscape& landscape, const PixelGrid& grid, const PixelWindow& window,
                std::span<float> bands);

}  // namespace terrane::synth

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "synth/holes.hpp"
#include "synth/sensors.hpp"

// The camera: reflectance x illumination, haze, point spread, noise, eight bits.
namespace terrane::synth {

namespace {

// Sun in the south-southeast at 40 degrees. In scene axes (east, south, up).
constexpr double sun_east = 0.38302222, sun_south = 0.66341395, sun_up = 0.64278761;
constexpr float sun_tangent = 0.83909963f;
constexpr int shadow_steps = 64;  ///< of one pixel: shadows of up to 26 m of height
constexpr double step_east = 0.5, step_south = 0.8660254;

constexpr Reflectance direct_light{0.78f, 0.76f, 0.71f, 0.84f};
constexpr Reflectance sky_light{0.20f, 0.23f, 0.29f, 0.14f};
constexpr Reflectance haze{0.006f, 0.010f, 0.017f, 0.002f};
constexpr float noise_deviation = 1.8f;  ///< grey values

constexpr std::int64_t near_margin = 2;  ///< for the point spread and the surface normals
constexpr std::int64_t sun_margin = shadow_steps + 2;

/// Grey value of a radiance: the sensor's gain and a gentle gamma, tabulated.
class ToneCurve {
  public:
    ToneCurve() {
        for (std::size_t k = 0; k < table_.size(); ++k)
            table_[k] = 255.0f * std::pow(static_cast<float>(k) / entries / 0.62f, 0.60f);
    }
    float operator()(float radiance) const {
        const float position = std::clamp(radiance, 0.0f, 1.0f) * entries;
        const auto k = std::min(static_cast<std::size_t>(position), table_.size() - 2);
        const float rest = position - static_cast<float>(k);
        return table_[k] + rest * (table_[k + 1] - table_[k]);
    }

  private:
    static constexpr float entries = 4096.0f;
    std::array<float, 4097> table_{};
};

/// The surface of a window and its margins: more towards the sun (east and south), where shadows come from.
struct SurfaceBlock {
    std::int64_t columns = 0;
    std::int64_t rows = 0;
    std::vector<SurfacePoint> points;
    std::vector<float> heights;

    std::size_t place(std::int64_t column, std::int64_t row) const {
        return static_cast<std::size_t>(row * columns + column);
    }
};

SurfaceBlock look(const Landscape& landscape, const PixelGrid& grid, const PixelWindow& window) {
    SurfaceBlock block;
    block.columns = window.columns + near_margin + sun_margin;
    block.rows = window.rows + near_margin + sun_margin;
    const Point first = grid.center(window.column - near_margin, window.row - near_margin);
    const Point last =
        grid.center(window.column + window.columns + sun_margin, window.row + window.rows + sun_margin);
    const Neighbourhood neighbourhood(landscape, {first.x, first.y, last.x, last.y});
    block.points.resize(static_cast<std::size_t>(block.columns * block.rows));
    block.heights.resize(block.points.size());
    for (std::int64_t row = 0; row < block.rows; ++row) {
        for (std::int64_t column = 0; column < block.columns; ++column) {
            const std::size_t k = block.place(column, row);
            block.points[k] = neighbourhood.at(
                grid.center(window.column - near_margin + column, window.row - near_margin + row));
            block.heights[k] = block.points[k].height;
        }
    }
    return block;
}

/// Share of the sun's disc that one row of points sees: the smallest clearance of the ray above the surface.
void sunlight(const SurfaceBlock& block, std::int64_t row, std::int64_t columns, std::vector<float>& light) {
    light.assign(static_cast<std::size_t>(columns), std::numeric_limits<float>::max());
    const float* here = block.heights.data() + block.place(0, row);
    for (int step = 2; step <= shadow_steps; ++step) {
        const auto east = static_cast<std::int64_t>(std::lround(step * step_east));
        const auto south = static_cast<std::int64_t>(std::lround(step * step_south));
        const float* there = block.heights.data() + block.place(east, row + south);
        const float rise = static_cast<float>(step * optical_pixel) * sun_tangent;
        for (std::int64_t column = 0; column < columns; ++column)
            light[static_cast<std::size_t>(column)] =
                std::min(light[static_cast<std::size_t>(column)], here[column] + rise - there[column]);
    }
    for (float& clearance : light) clearance = std::clamp(0.5f + (clearance - 0.1f) / 0.6f, 0.0f, 1.0f);
}

/// The slope to the flatter neighbour, so that a wall's edge belongs to neither the roof nor the ground.
float slope(float before, float here, float after) {
    const float left = here - before, right = after - here;
    return (std::abs(left) < std::abs(right) ? left : right) / static_cast<float>(optical_pixel);
}

/// Cosine of the sun's angle to the surface, relative to level ground.
float facing_sun(const SurfaceBlock& block, std::int64_t column, std::int64_t row) {
    const float* h = block.heights.data() + block.place(column, row);
    const float east = slope(h[-1], h[0], h[1]), south = slope(h[-block.columns], h[0], h[block.columns]);
    const float cosine = (static_cast<float>(sun_up) - east * static_cast<float>(sun_east) -
                          south * static_cast<float>(sun_south)) /
                         std::sqrt(1.0f + east * east + south * south);
    return std::max(0.0f, cosine / static_cast<float>(sun_up));
}

Reflectance texture(const Noise& noise, const SurfacePoint& point, Point p) {
    const MaterialInfo& material = info(point.material);
    // Objects have a texture of their own: the noise field is moved by the object's number.
    const double move = 977.0 * static_cast<double>(point.tint);
    const float coarse = noise.at(Field::texture_coarse, p.x / 12.0 + move, p.y / 12.0);
    const float middle = noise.at(Field::texture_middle, p.x / 3.0 + move, p.y / 3.0);
    const float fine = noise.at(Field::texture_fine, p.x / 0.8, p.y / 0.8);
    const float brightness = point.shade * (1.0f + material.coarse_texture * coarse +
                                            material.middle_texture * middle + material.fine_texture * fine);
    Reflectance result = reflectance_of(point.material, point.tint);
    for (float& band : result) band = std::max(0.0f, band * brightness);
    if (material.cover == LandCover::low_vegetation || material.cover == LandCover::tree) {
        const float vigour = noise.at(Field::vigour, p.x / 27.0, p.y / 27.0);
        result[0] *= 1.0f - 0.16f * vigour;
        result[2] *= 1.0f - 0.10f * vigour;
        result[3] *= 1.0f + 0.09f * vigour;
    }
    for (float& band : result) band += point.paint * (0.50f - band);
    return result;
}

/// An almost normal number of mean 0 and deviation 1: the sum of a word's four bytes.
float almost_normal(std::uint32_t word) {
    const std::uint32_t sum = (word & 255u) + ((word >> 8) & 255u) + ((word >> 16) & 255u) + (word >> 24);
    return (static_cast<float>(sum) - 510.0f) / 147.8f;
}

}  // namespace

PixelGrid optical_grid(std::int64_t size) {
    return {0.0, 0.0, optical_pixel, size, size};
}

void render_optical(const Landscape& landscape, const PixelGrid& grid, const PixelWindow& window,
                    std::span<std::uint8_t> bands, std::span<std::uint8_t> labels) {
    TERRANE_ASSERT(bands.size() == 4 * window.area() && labels.size() == window.area(),
                   "wrong sizes of a window");
    static const ToneCurve tone;
    const SurfaceBlock block = look(landscape, grid, window);

    // Radiance with a margin of one pixel for the point spread; (0, 0) is the window's pixel (-1, -1).
    const std::int64_t columns = window.columns + 2, rows = window.rows + 2;
    std::vector<Reflectance> radiance(static_cast<std::size_t>(columns * rows));
    std::vector<float> light;
    for (std::int64_t row = 0; row < rows; ++row) {
        sunlight(block, row + 1, columns + 1, light);
        for (std::int64_t column = 0; column < columns; ++column) {
            const SurfacePoint& point = block.points[block.place(column + 1, row + 1)];
            const Point p = grid.center(window.column - 1 + column, window.row - 1 + row);
            const Reflectance ground = texture(landscape.noise(), point, p);
            const float sun =
                light[static_cast<std::size_t>(column + 1)] * facing_sun(block, column + 1, row + 1);
            Reflectance& result = radiance[static_cast<std::size_t>(row * columns + column)];
            for (std::size_t band = 0; band < 4; ++band)
                result[band] = ground[band] * (direct_light[band] * sun + sky_light[band]) + haze[band];
        }
    }

    const double extent = static_cast<double>(grid.columns) * grid.pixel;
    for (std::int64_t row = 0; row < window.rows; ++row) {
        for (std::int64_t column = 0; column < window.columns; ++column) {
            const auto k = static_cast<std::size_t>(row * window.columns + column);
            const std::int64_t x = window.column + column, y = window.row + row;
            const Point p = grid.center(x, y);
            labels[k] =
                label_missing(landscape, extent, p)
                    ? label_nodata
                    : static_cast<std::uint8_t>(
                          info(block.points[block.place(column + near_margin, row + near_margin)].material)
                              .cover);
            const bool missing = optical_missing(landscape, extent, p);
            const Philox::Counter draw = Philox::draw(
                landscape.seed(),
                static_cast<std::uint64_t>(Purpose::optical_noise) << 56 | static_cast<std::uint64_t>(y),
                static_cast<std::uint64_t>(x));
            const Reflectance* around = radiance.data() + (row + 1) * columns + column + 1;
            for (std::size_t band = 0; band < 4; ++band) {
                // Point spread: 0.64 of a pixel's light stays in it.
                const float middle = 0.64f * around[0][band];
                const float cross =
                    around[-1][band] + around[1][band] + around[-columns][band] + around[columns][band];
                const float grey = tone(middle + 0.09f * cross) + noise_deviation * almost_normal(draw[band]);
                bands[4 * k + band] = missing
                                          ? optical_nodata
                                          : static_cast<std::uint8_t>(std::clamp(grey + 0.5f, 1.0f, 255.0f));
            }
        }
    }
}

}  // namespace terrane::synth

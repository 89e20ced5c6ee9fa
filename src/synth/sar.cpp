#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.hpp"
#include "synth/holes.hpp"
#include "synth/sensors.hpp"

// The radar: mean backscatter of the surface, geometry of walls, speckle.
namespace terrane::synth {

namespace {

constexpr double look_east = 0.981, look_south = 0.194;  ///< horizontal direction in which the wave travels
constexpr float cotangent_incidence = 1.428f;            ///< 35 degrees from the vertical
constexpr std::int64_t margin = 12;                      ///< pixels: shadows of up to 34 m of height
constexpr int looks = 4;
constexpr float noise_floor = 0.0006f;

/// Means over the 2 x 2 looks at one radar cell.
struct Cell {
    float height = 0;
    float vv = 0;
    float vh = 0;
    bool building = false;
};

Cell look(const Landscape& landscape, const Neighbourhood& neighbourhood, Point center) {
    Cell cell;
    int buildings = 0;
    for (const double dx : {-0.5, 0.5}) {
        for (const double dy : {-0.5, 0.5}) {
            const SurfacePoint point = neighbourhood.at({center.x + dx, center.y + dy});
            const MaterialInfo& material = info(point.material);
            cell.height += 0.25f * point.height;
            cell.vv += 0.25f * material.backscatter_vv;
            cell.vh += 0.25f * material.backscatter_vh;
            buildings += material.cover == LandCover::building ? 1 : 0;
        }
    }
    const float texture =
        1.0f + 0.30f * landscape.noise().at(Field::backscatter, center.x / 9.0, center.y / 9.0);
    cell.vv *= texture;
    cell.vh *= texture;
    cell.building = buildings >= 2;
    return cell;
}

/// Gamma distributed with mean 1 and `looks` looks: minus the logarithm of a product of uniform numbers.
float speckle(const Philox::Counter& draw) {
    float product = 1;
    for (const std::uint32_t word : draw) product *= 1.0f - Philox::uniform(word);
    return -std::log(std::max(product, 1e-30f)) / looks;
}

}  // namespace

PixelGrid sar_grid(std::int64_t size) {
    const double extent = static_cast<double>(size) * optical_pixel;
    PixelGrid grid{-37.3, -21.7, sar_pixel, 0, 0};
    grid.columns = static_cast<std::int64_t>(std::ceil((extent - grid.origin_x) / sar_pixel)) + 9;
    grid.rows = static_cast<std::int64_t>(std::ceil((extent - grid.origin_y) / sar_pixel)) + 6;
    return grid;
}

void render_sar(const Landscape& landscape, const PixelGrid& grid, const PixelWindow& window,
                std::span<float> bands) {
    TERRANE_ASSERT(bands.size() == 2 * window.area(), "wrong sizes of a window");
    const std::int64_t columns = window.columns + 2 * margin, rows = window.rows + 2 * margin;
    const Point first = grid.center(window.column - margin - 1, window.row - margin - 1);
    const Point last =
        grid.center(window.column + window.columns + margin, window.row + window.rows + margin);
    const Neighbourhood neighbourhood(landscape, {first.x, first.y, last.x, last.y});
    std::vector<Cell> cells(static_cast<std::size_t>(columns * rows));
    for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t column = 0; column < columns; ++column)
            cells[static_cast<std::size_t>(row * columns + column)] =
                look(landscape, neighbourhood,
                     grid.center(window.column - margin + column, window.row - margin + row));

    const auto cell_at = [&](std::int64_t column, std::int64_t row, double steps) -> const Cell& {
        const std::int64_t c = column + margin + std::lround(steps * look_east);
        const std::int64_t r = row + margin + std::lround(steps * look_south);
        return cells[static_cast<std::size_t>(r * columns + c)];
    };
    // The extent of the scene, not of this grid: holes are the same whatever the sensor's frame.
    const double extent = static_cast<double>(grid.columns - 9) * grid.pixel + grid.origin_x;
    for (std::int64_t row = 0; row < window.rows; ++row) {
        for (std::int64_t column = 0; column < window.columns; ++column) {
            const auto k = static_cast<std::size_t>(row * window.columns + column);
            const std::int64_t x = window.column + column, y = window.row + row;
            if (sar_missing(landscape, extent, grid.center(x, y))) {
                bands[2 * k] = bands[2 * k + 1] = sar_nodata;
                continue;
            }
            const Cell& cell = cell_at(column, row, 0);
            float vv = cell.vv, vh = cell.vh;
            // A wall behind, facing the sensor: ground and wall make a corner reflector.
            for (const double steps : {1.0, 2.0}) {
                const Cell& behind = cell_at(column, row, steps);
                const float wall = behind.height - cell.height;
                if (!behind.building || cell.building || wall < 2.0f) continue;
                vv += 0.45f * std::min(wall, 14.0f) / 14.0f;
                vh += 0.03f * std::min(wall, 14.0f) / 14.0f;
            }
            for (int steps = 1; steps < margin; ++steps) {
                const Cell& before = cell_at(column, row, -steps);
                if (before.height - cell.height >
                    static_cast<float>(steps * sar_pixel) * cotangent_incidence) {
                    vv *= 0.10f;
                    vh *= 0.10f;
                    break;
                }
            }
            const std::uint64_t stream = static_cast<std::uint64_t>(Purpose::speckle) << 56;
            const auto ux = static_cast<std::uint64_t>(x), uy = static_cast<std::uint64_t>(y);
            const float speckle_vv = speckle(Philox::draw(landscape.seed(), stream | uy, 2 * ux));
            const float speckle_vh = speckle(Philox::draw(landscape.seed(), stream | uy, 2 * ux + 1));
            bands[2 * k] = 10.0f * std::log10(vv * speckle_vv + noise_floor);
            bands[2 * k + 1] = 10.0f * std::log10(vh * speckle_vh + noise_floor);
        }
    }
}

}  // namespace terrane::synth

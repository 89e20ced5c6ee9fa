#include "synth/weak_labels.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/distance_transform.hpp"
#include "base/error.hpp"
#include "synth/holes.hpp"
#include "synth/surface.hpp"

namespace terrane::synth {

namespace {

constexpr std::int64_t cell = 64;      ///< edge of a cell of scribbles, pixels
constexpr double drawn_share = 0.6;    ///< of the areas of one class in a cell
constexpr std::int32_t clearance = 4;  ///< squared distance of a stroke to other classes, pixels
constexpr double displacement = 3.0;   ///< of pseudo-labels' outlines, metres
constexpr double wavelength = 14.0;
constexpr float overlooked_share = 1.0f / 6;

std::int64_t floor_to_cell(std::int64_t pixel) {
    return pixel >= 0 ? pixel / cell * cell : -((-pixel + cell - 1) / cell) * cell;
}

std::uint8_t cover_of(const SurfacePoint& point) {
    return static_cast<std::uint8_t>(info(point.material).cover);
}

Rectangle area_of(const PixelGrid& grid, std::int64_t column, std::int64_t row, std::int64_t columns,
                  std::int64_t rows, double margin) {
    const Point first = grid.center(column, row);
    const Point last = grid.center(column + columns - 1, row + rows - 1);
    return {first.x - margin, first.y - margin, last.x + margin, last.y + margin};
}

/// The strokes of one cell.
class ScribbledCell {
  public:
    ScribbledCell(const Landscape& landscape, const Neighbourhood& surface, const PixelGrid& grid,
                  std::int64_t column, std::int64_t row)
        : random_(cell_stream(landscape.seed(), Purpose::scribble, column / cell, row / cell)),
          classes_(cell * cell),
          strokes_(cell * cell, label_nodata) {
        for (std::int64_t i = 0; i < cell * cell; ++i) {
            classes_[static_cast<std::size_t>(i)] =
                cover_of(surface.at(grid.center(column + i % cell, row + i / cell)));
        }
        for (std::size_t k = 0; k < land_cover_count; ++k) draw(static_cast<std::uint8_t>(k));
    }

    std::uint8_t at(std::int64_t column, std::int64_t row) const {
        return strokes_[static_cast<std::size_t>(row * cell + column)];
    }

  private:
    void draw(std::uint8_t label) {
        const bool drawn = random_.uniform() < drawn_share;
        std::vector<std::uint8_t> others(classes_.size());
        for (std::size_t i = 0; i < others.size(); ++i) others[i] = classes_[i] == label ? 0 : 1;
        const std::vector<std::int32_t> squared = squared_distances(others, cell, cell);
        std::vector<std::int64_t> inside;
        for (std::int64_t i = 0; i < cell * cell; ++i) {
            if (squared[static_cast<std::size_t>(i)] >= clearance) inside.push_back(i);
        }
        if (!drawn || inside.empty()) return;
        const std::int64_t start = inside[random_.below(static_cast<std::uint32_t>(inside.size()))];
        double x = static_cast<double>(start % cell) + 0.5, y = static_cast<double>(start / cell) + 0.5;
        double direction = random_.uniform(0, 2 * std::numbers::pi);
        const std::uint32_t length = 10 + random_.below(20);
        for (std::uint32_t step = 0; step < length; ++step) {
            strokes_[place(x, y)] = label;
            direction += random_.uniform(-0.3, 0.3);
            const double next_x = x + std::cos(direction), next_y = y + std::sin(direction);
            const bool within = next_x >= 0 && next_x < cell && next_y >= 0 && next_y < cell;
            if (!within || squared[place(next_x, next_y)] < clearance) {
                direction = random_.uniform(0, 2 * std::numbers::pi);  // the pen turns
                continue;
            }
            x = next_x;
            y = next_y;
        }
    }
    static std::size_t place(double x, double y) {
        return static_cast<std::size_t>(static_cast<std::int64_t>(y) * cell + static_cast<std::int64_t>(x));
    }

    PhiloxStream random_;
    std::vector<std::uint8_t> classes_, strokes_;
};

/// What is seen in place of an overlooked object.
std::uint8_t mistaken(const SurfacePoint& point) {
    const LandCover cover = info(point.material).cover;
    const bool object = cover == LandCover::building || cover == LandCover::tree || cover == LandCover::car;
    // The object's own random number, spread: tints also decide colours.
    const float number = point.tint * 7919.0f;
    if (!object || number - std::floor(number) >= overlooked_share) return static_cast<std::uint8_t>(cover);
    return static_cast<std::uint8_t>(cover == LandCover::tree ? LandCover::low_vegetation
                                                              : LandCover::impervious);
}

}  // namespace

void render_scribbles(const Landscape& landscape, const PixelGrid& grid, const PixelWindow& window,
                      std::span<std::uint8_t> labels) {
    TERRANE_ASSERT(labels.size() == window.area(), "wrong size of a window");
    const double extent = static_cast<double>(grid.columns) * grid.pixel;
    const std::int64_t left = floor_to_cell(window.column), top = floor_to_cell(window.row);
    const std::int64_t right = window.column + window.columns, bottom = window.row + window.rows;
    const Neighbourhood surface(landscape, area_of(grid, left, top, floor_to_cell(right - 1) + cell - left,
                                                   floor_to_cell(bottom - 1) + cell - top, grid.pixel));
    for (std::int64_t y = top; y < bottom; y += cell) {
        for (std::int64_t x = left; x < right; x += cell) {
            const ScribbledCell strokes(landscape, surface, grid, x, y);
            for (std::int64_t row = std::max(y, window.row); row < std::min(y + cell, bottom); ++row) {
                for (std::int64_t column = std::max(x, window.column); column < std::min(x + cell, right);
                     ++column) {
                    const auto k = static_cast<std::size_t>((row - window.row) * window.columns + column -
                                                            window.column);
                    labels[k] = label_missing(landscape, extent, grid.center(column, row))
                                    ? label_nodata
                                    : strokes.at(column - x, row - y);
                }
            }
        }
    }
}

void render_pseudo_labels(const Landscape& landscape, const PixelGrid& grid, const PixelWindow& window,
                          std::span<std::uint8_t> labels) {
    TERRANE_ASSERT(labels.size() == window.area(), "wrong size of a window");
    const double extent = static_cast<double>(grid.columns) * grid.pixel;
    const Neighbourhood surface(landscape, area_of(grid, window.column, window.row, window.columns,
                                                   window.rows, displacement + grid.pixel));
    const Noise& noise = landscape.noise();
    for (std::int64_t row = 0; row < window.rows; ++row) {
        for (std::int64_t column = 0; column < window.columns; ++column) {
            const Point p = grid.center(window.column + column, window.row + row);
            const double u = p.x / wavelength, v = p.y / wavelength;
            const Point seen{p.x + displacement * double{noise.at(Field::mistake_x, u, v)},
                             p.y + displacement * double{noise.at(Field::mistake_y, u, v)}};
            const bool in_doubt = noise.at(Field::doubt, p.x / 25, p.y / 25) > 0.72f;
            labels[static_cast<std::size_t>(row * window.columns + column)] =
                in_doubt || label_missing(landscape, extent, p) ? label_nodata : mistaken(surface.at(seen));
        }
    }
}

}  // namespace terrane::synth

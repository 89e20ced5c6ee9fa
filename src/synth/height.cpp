#include <algorithm>

#include "base/error.hpp"
#include "synth/holes.hpp"
#include "synth/sensors.hpp"

namespace terrane::synth {

void render_height(const Landscape& landscape, const PixelWindow& window, std::span<const Point> points,
                   std::span<float> heights) {
    TERRANE_ASSERT(points.size() == window.area() && heights.size() == window.area() && !points.empty(),
                   "wrong sizes of a window");
    Rectangle area{points[0].x, points[0].y, points[0].x, points[0].y};
    for (const Point p : points)
        area = {std::min(area.x0, p.x), std::min(area.y0, p.y), std::max(area.x1, p.x),
                std::max(area.y1, p.y)};
    const Neighbourhood neighbourhood(landscape, area);
    for (std::int64_t row = 0; row < window.rows; ++row) {
        for (std::int64_t column = 0; column < window.columns; ++column) {
            const auto k = static_cast<std::size_t>(row * window.columns + column);
            const SurfacePoint point = neighbourhood.at(points[k]);
            if (lidar_missing(landscape, points[k], info(point.material).cover == LandCover::water)) {
                heights[k] = height_nodata;
                continue;
            }
            const Philox::Counter draw =
                Philox::draw(landscape.seed(),
                             static_cast<std::uint64_t>(Purpose::height_noise) << 56 |
                                 static_cast<std::uint64_t>(window.row + row),
                             static_cast<std::uint64_t>(window.column + column));
            // The sum of four uniform numbers has a deviation of 0.577.
            const float sum = Philox::uniform(draw[0]) + Philox::uniform(draw[1]) + Philox::uniform(draw[2]) +
                              Philox::uniform(draw[3]) - 2.0f;
            heights[k] = point.height + 0.087f * sum;
        }
    }
}

}  // namespace terrane::synth

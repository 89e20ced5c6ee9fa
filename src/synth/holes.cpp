#include "synth/holes.hpp"

#include <cmath>

namespace terrane::synth {

namespace {

/// What a patch of missing pixels is missing from: part of the patch's random key.
enum class Layer : std::int64_t { optical, label, sar };

/// Ragged spots, at most one per cell of 420 m.
bool in_spot(const Landscape& landscape, Layer layer, double probability, double largest, Point p) {
    constexpr double cell = 420.0;
    const auto i = static_cast<std::int64_t>(std::floor(p.x / cell)),
               j = static_cast<std::int64_t>(std::floor(p.y / cell));
    PhiloxStream random =
        cell_stream(landscape.seed(), Purpose::hole, i * 4 + static_cast<std::int64_t>(layer), j);
    if (random.uniform() >= probability) return false;
    const double radius = random.uniform(0.4, 1.0) * largest;
    const double x = (static_cast<double>(i) + random.uniform(0.1, 0.9)) * cell;
    const double y = (static_cast<double>(j) + random.uniform(0.1, 0.9)) * cell;
    const double reach = std::hypot(p.x - x, p.y - y);
    if (reach > 1.4 * radius) return false;
    return reach < radius * (1.0 + 0.4 * static_cast<double>(
                                             landscape.noise().at(Field::hole_shape, p.x / 5.0, p.y / 5.0)));
}

/// The photo's flight strip ends short of the scene's upper right corner.
bool in_wedge(double extent, Point p) {
    return (extent - p.x) / (0.10 * extent) + p.y / (0.20 * extent) < 1.0;
}

}  // namespace

bool optical_missing(const Landscape& landscape, double extent, Point p) {
    return in_wedge(extent, p) || in_spot(landscape, Layer::optical, 0.55, 11.0, p);
}

bool label_missing(const Landscape& landscape, double extent, Point p) {
    return in_wedge(extent, p) || in_spot(landscape, Layer::label, 0.45, 13.0, p);
}

bool sar_missing(const Landscape& landscape, double extent, Point p) {
    return p.x < 0.008 * extent + 0.018 * p.y || in_spot(landscape, Layer::sar, 0.25, 16.0, p);
}

bool lidar_missing(const Landscape& landscape, Point p, bool water) {
    return water && landscape.noise().at(Field::void_shape, p.x / 14.0, p.y / 14.0) > -0.05f;
}

}  // namespace terrane::synth

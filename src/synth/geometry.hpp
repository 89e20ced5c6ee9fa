#pragma once

#include <algorithm>
#include <cmath>

namespace terrane::synth {

/// A point of the scene in metres: x to the east and y to the SOUTH of the upper left corner of the optical
/// raster. The landscape is endless; negative coordinates lie outside the raster.
struct Point {
    double x = 0;
    double y = 0;
};

/// An axis-parallel rectangle, in scene metres or in the road frame.
struct Rectangle {
    double x0 = 0, y0 = 0, x1 = 0, y1 = 0;

    double width() const { return x1 - x0; }
    double height() const { return y1 - y0; }
    bool contains(Point p) const { return p.x >= x0 && p.x < x1 && p.y >= y0 && p.y < y1; }
};

/// A turned rectangle in scene metres: centre, unit vector of its long axis, half edges.
struct Box {
    Point center;
    double cos = 1;
    double sin = 0;
    double half_length = 0;
    double half_width = 0;

    /// Coordinates of a point along and across the long axis.
    Point local(Point p) const {
        const double dx = p.x - center.x, dy = p.y - center.y;
        return {dx * cos + dy * sin, -dx * sin + dy * cos};
    }
    Point corner(double along, double across) const {
        return {center.x + along * half_length * cos - across * half_width * sin,
                center.y + along * half_length * sin + across * half_width * cos};
    }
    double radius() const { return std::hypot(half_length, half_width); }
};

inline double smoothstep(double low, double high, double value) {
    const double t = std::clamp((value - low) / (high - low), 0.0, 1.0);
    return t * t * (3 - 2 * t);
}

inline double mix(double a, double b, double t) {
    return a + (b - a) * t;
}

/// Share of a pixel of `pixel` metres that a stripe of `width` metres covers whose axis is `distance` away.
inline float stripe_coverage(double distance, double width, double pixel = 0.5) {
    return static_cast<float>(std::clamp((0.5 * (width + pixel) - std::abs(distance)) / pixel, 0.0, 1.0));
}

}  // namespace terrane::synth

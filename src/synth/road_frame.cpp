#include "synth/road_frame.hpp"

#include <cmath>

namespace terrane::synth {

namespace {

constexpr double warp_wavelength = 380.0;
constexpr double warp_amplitude = 26.0;

}  // namespace

RoadFrame::RoadFrame(std::uint64_t seed, const Noise& noise) : noise_(noise) {
    PhiloxStream stream = cell_stream(seed, Purpose::frame, 1, 0);
    const double angle = stream.uniform(-0.7, 0.7);
    cos_ = std::cos(angle);
    sin_ = std::sin(angle);
    shift_ = {stream.uniform(0.0, 1000.0), stream.uniform(0.0, 1000.0)};
}

Point RoadFrame::warp(Point scene) const {
    const double x = scene.x / warp_wavelength, y = scene.y / warp_wavelength;
    return {shift_.x + warp_amplitude * noise_.at(Field::warp_u, x, y),
            shift_.y + warp_amplitude * noise_.at(Field::warp_v, x, y)};
}

Point RoadFrame::to_frame(Point scene) const {
    const Point w = warp(scene);
    return {scene.x * cos_ + scene.y * sin_ + w.x, -scene.x * sin_ + scene.y * cos_ + w.y};
}

Point RoadFrame::to_scene(Point frame) const {
    Point w = shift_;
    Point scene;
    for (int iteration = 0; iteration < 8; ++iteration) {
        const double u = frame.x - w.x, v = frame.y - w.y;
        scene = {u * cos_ - v * sin_, u * sin_ + v * cos_};
        w = warp(scene);
    }
    return scene;
}

Point RoadFrame::direction(Point frame, Point step) const {
    const Point a = to_scene({frame.x - step.x, frame.y - step.y});
    const Point b = to_scene({frame.x + step.x, frame.y + step.y});
    const double length = std::hypot(b.x - a.x, b.y - a.y);
    return {(b.x - a.x) / length, (b.y - a.y) / length};
}

Point RoadFrame::u_direction(Point frame) const {
    return direction(frame, {2.0, 0.0});
}
Point RoadFrame::v_direction(Point frame) const {
    return direction(frame, {0.0, 2.0});
}

}  // namespace terrane::synth

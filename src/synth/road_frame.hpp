#pragma once

#include <cstdint>

#include "synth/geometry.hpp"
#include "synth/noise.hpp"

namespace terrane::synth {

/// The curved frame (u, v) in which all roads are straight and parallel to an axis: the scene turned and
/// gently warped. Lengths differ from metres by at most about 15 %.
class RoadFrame {
  public:
    RoadFrame(std::uint64_t seed, const Noise& noise);

    Point to_frame(Point scene) const;
    /// Inverse of to_frame to below a millimetre (fixed-point iteration; the warp is a contraction).
    Point to_scene(Point frame) const;
    /// Unit vector in the scene of the direction in which u grows, at a point of the frame.
    Point u_direction(Point frame) const;
    Point v_direction(Point frame) const;

  private:
    Point warp(Point scene) const;
    Point direction(Point frame, Point step) const;

    const Noise& noise_;
    double cos_ = 1;
    double sin_ = 0;
    Point shift_;
};

}  // namespace terrane::synth

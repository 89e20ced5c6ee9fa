#pragma once

#include <cstdint>

#include "synth/geometry.hpp"
#include "synth/noise.hpp"

namespace terrane::synth {

/// The nearest river, seen from a point.
struct River {
    double bank_distance = 0;  ///< metres to the water's edge; negative in the water
    double level = 0;          ///< height of the water, metres
    Point direction;           ///< unit vector along the course
};

/// Relief and rivers: a gently tilted, hilly plain cut by meandering rivers 2.9 km apart. One river always
/// passes through the first 500 m of the scene.
class Terrain {
  public:
    Terrain(std::uint64_t seed, const Noise& noise);

    River river(Point p) const;
    /// Height of the ground without anything on it, in metres; the river's water where it is.
    double ground(Point p, const River& river) const;
    double ground(Point p) const { return ground(p, river(p)); }
    /// Furrows, molehills, ruts: what open ground adds to `ground`, about +-0.15 m.
    double micro_relief(Point p) const;

  private:
    double course(double along, std::int64_t number) const;

    const Noise& noise_;
    double cos_ = 1;
    double sin_ = 0;
};

}  // namespace terrane::synth

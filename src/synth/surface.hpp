#pragma once

#include <cstdint>
#include <vector>

#include "synth/landscape.hpp"
#include "synth/object_index.hpp"
#include "synth/objects.hpp"

namespace terrane::synth {

/// What lies uppermost at one point of the scene.
struct SurfacePoint {
    float height = 0;  ///< of the surface, metres above the vertical datum
    float ground = 0;  ///< of the terrain below it (the deck where a bridge is)
    Material material = Material::lawn;
    float tint = 0.5f;  ///< random number of the object the point belongs to
    float shade = 1;    ///< brightness factor of a pattern: crop rows, ridges, gaps
    float paint = 0;    ///< share of white paint: road marks
};

/// A part of the scene with all its objects in memory: what is needed to see any point of a rectangle.
class Neighbourhood {
  public:
    /// Builds the blocks of land that touch `area` (scene metres).
    Neighbourhood(const Landscape& landscape, const Rectangle& area);

    /// `p` must lie in the area. A pure function of (seed, p), whatever the area.
    SurfacePoint at(Point p) const;

    /// For tests: every object in the neighbourhood.
    std::vector<const BlockContent*> contents() const;

  private:
    struct Built {
        Block block;
        BlockContent content;
        ObjectIndex index;
    };
    const Built& find(Point frame) const;

    const Landscape& landscape_;
    std::int64_t first_i_ = 0;
    std::int64_t first_j_ = 0;
    std::int64_t columns_ = 0;
    std::vector<std::vector<Built>> superblocks_;
};

}  // namespace terrane::synth

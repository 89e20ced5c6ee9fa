#pragma once

#include "synth/landscape.hpp"
#include "synth/objects.hpp"
#include "synth/surface.hpp"

namespace terrane::synth {

/// Where a point lies relative to the roads around its block.
struct RoadPosition {
    RoadLevel level = RoadLevel::none;  ///< of the road the point is on, or of the nearest one
    bool along_v = false;               ///< that road runs in the direction of v
    double kerb_distance = 0;           ///< metres to the kerb; negative on the carriageway
    double axis_distance = 0;           ///< metres to the road's axis
    double along = 0;                   ///< coordinate along the road
    double crossing_distance = 0;       ///< metres to the kerb of the nearest crossing road
};
RoadPosition road_position(const Block& block, Point frame);

/// Fills material, tint, shade and paint of a point of bare ground, and raises `height` above `ground` where
/// the cover is thick (crops, forest floor under the crowns).
void set_road(const RoadPosition& road, SurfacePoint& point);
void set_land(const Landscape& landscape, const Block& block, const BlockContent& content, Point scene,
              Point frame, SurfacePoint& point);

}  // namespace terrane::synth

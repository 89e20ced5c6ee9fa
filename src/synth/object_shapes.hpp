#pragma once

#include "synth/noise.hpp"
#include "synth/objects.hpp"
#include "synth/surface.hpp"

namespace terrane::synth {

/// Each puts one object over a point if the object covers it and is higher than what was there.
void put_building(const Building& building, Point p, SurfacePoint& point);
void put_tree(const Tree& tree, const Noise& noise, Point p, SurfacePoint& point);
void put_car(const Car& car, Point p, SurfacePoint& point);
void put_patch(const Patch& patch, Point p, SurfacePoint& point);
void put_mound(const Mound& mound, Point p, SurfacePoint& point);

}  // namespace terrane::synth

#pragma once

#include "synth/landscape.hpp"

namespace terrane::synth {

/// Where the rasters have no data. `extent` is the edge of the scene in metres.
bool optical_missing(const Landscape& landscape, double extent, Point p);
bool label_missing(const Landscape& landscape, double extent, Point p);
bool sar_missing(const Landscape& landscape, double extent, Point p);
bool lidar_missing(const Landscape& landscape, Point p, bool water);

}  // namespace terrane::synth

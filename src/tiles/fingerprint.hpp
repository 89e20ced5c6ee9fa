#pragma once

#include <string>

#include "config/config.hpp"

namespace terrane::tiles {

/// SHA-256 of the part of a configuration that decides what a tile store holds: [grid], [[modality]] without
/// norm, [label], [[class]] ids and colours, [split], and where they name files [scribble] and [pseudo] with
/// the background class. Paths are left out: the same rasters may lie elsewhere.
std::string data_fingerprint(const config::Config& config);

}  // namespace terrane::tiles

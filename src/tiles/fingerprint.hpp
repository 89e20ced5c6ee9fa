#pragma once

#include <string>

#include "config/config.hpp"

namespace terrane::tiles {

/// SHA-256 of the part of a configuration that decides what a tile store holds: [grid], [[modality]] without
/// norm, [label], [[class]] ids and colours, [split]. Paths are left out: the same rasters may lie elsewhere.
std::string data_fingerprint(const config::Config& config);

}  // namespace terrane::tiles

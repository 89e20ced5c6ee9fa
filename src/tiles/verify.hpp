#pragma once

#include <string>
#include <vector>

#include "tiles/build.hpp"
#include "tiles/store.hpp"

namespace terrane::tiles {

struct VerifyReport {
    std::int64_t tiles = 0;
    std::uint64_t bytes = 0;
    std::vector<std::string> problems;  ///< one sentence each, naming tile and file; at most 100
};

/// Reads every tile with its checksums and compares every shard's HDF5 structure with its record. Collective:
/// the ranks share the scenes, every rank gets the whole report.
VerifyReport verify(const TileStore& store, const Ranks& ranks);

}  // namespace terrane::tiles

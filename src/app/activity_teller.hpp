#pragma once

#include <string>
#include <vector>

#include "comm/world.hpp"
#include "data/tile_source.hpp"

namespace terrane::app {

/// While it lives, messages about a broken job say what this rank works on: on which device, which operation,
/// which tiles.
class ActivityTeller {
  public:
    /// All outlive the object; tiles of other sources are told by number.
    ActivityTeller(comm::World& world, std::vector<const data::TileSource*> sources, std::string device);
    ~ActivityTeller();
    ActivityTeller(const ActivityTeller&) = delete;
    ActivityTeller& operator=(const ActivityTeller&) = delete;

    /// "training on cpu, forward of encoder.stem, tile 7 (scene ...); tile 9 ...".
    std::string text() const;

  private:
    std::string describe(const void* source, std::int64_t tile) const;

    comm::World& world_;
    std::vector<const data::TileSource*> sources_;
    std::string device_;
};

}  // namespace terrane::app

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/world.hpp"

namespace terrane::app {

/// What a rank did with the time of its steps.
struct RankTimes {
    double own = 0;     ///< seconds of its own work: computing, reading
    double waited = 0;  ///< seconds in collectives
};

/// A sentence that names the rank whose own work takes much longer than that of the median rank, or an empty
/// text if the work is even: "rank 2 on hostb needs 1.8 times as long as the median ...".
std::string name_straggler(const std::vector<RankTimes>& ranks, const std::vector<std::string>& hosts);

/// Measures the steps of an epoch on every rank and warns on rank 0 if one rank keeps the others waiting.
class StragglerWatch {
  public:
    explicit StragglerWatch(comm::World& world) : world_(world) { pause(); }

    /// A step has ended.
    void step();
    /// What comes next, up to now, is not to be counted: an evaluation, a checkpoint.
    void pause();
    /// Collective: an epoch has ended; gives the sentence (on all ranks) and begins anew.
    std::string epoch();

  private:
    using Clock = std::chrono::steady_clock;

    comm::World& world_;
    RankTimes times_;
    Clock::time_point since_;
    double waited_before_ = 0;
};

}  // namespace terrane::app

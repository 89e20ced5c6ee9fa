#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/world.hpp"

namespace terrane::app {

/// What a rank did with the time of its steps.
struct RankTimes {
    double own = 0;           ///< seconds of its own work: computing, reading
    double waited = 0;        ///< seconds in collectives
    comm::Traffic traffic{};  ///< of sums of gradients
};

/// How the ranks shared the work of an epoch.
struct Balance {
    std::string straggler;    ///< name_straggler()
    double imbalance = 1;     ///< the longest own work over the mean
    std::size_t slowest = 0;  ///< whose that is
    double waiting = 0;       ///< share of the ranks' time spent in collectives, 0..1
    double megabytes = 0;     ///< of gradients summed over the ranks
    /// Bus bandwidth of these sums, 2 (n - 1) / n times their bytes over the seconds that the rank which
    /// joined last saw them under way; 0 without sums. A lower bound where they overlap with computing.
    double gigabytes_per_second = 0;

    /// "imbalance 1.08 (rank 2 on hostb), 3 % of the time waiting, 45.2 MB of gradients at 1.2 GB/s".
    std::string text(const std::vector<std::string>& hosts) const;
};

Balance balance_of(const std::vector<RankTimes>& ranks, const std::vector<std::string>& hosts);

/// A sentence that names the rank whose own work takes much longer than that of the median rank, or an empty
/// text if the work is even: "rank 2 on hostb needs 1.8 times as long as the median ...".
std::string name_straggler(const std::vector<RankTimes>& ranks, const std::vector<std::string>& hosts);

/// Measures the steps of an epoch on every rank: who keeps the others waiting, and how fast gradients travel.
class StragglerWatch {
  public:
    explicit StragglerWatch(comm::World& world) : world_(world) { pause(); }

    /// A step has ended.
    void step();
    /// What comes next, up to now, is not to be counted: an evaluation, a checkpoint.
    void pause();
    /// Collective: an epoch has ended; tells how it was shared (on all ranks) and begins anew.
    Balance epoch();

  private:
    using Clock = std::chrono::steady_clock;

    comm::World& world_;
    RankTimes times_;
    Clock::time_point since_;
    double waited_before_ = 0;
    comm::Traffic traffic_before_;  // when the epoch began
};

}  // namespace terrane::app

#pragma once

#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace terrane::bench {

/// One size of a gradient sum over all ranks.
struct CollectiveTime {
    std::size_t bytes = 0;
    double seconds = 0;  ///< median over the repetitions of the slowest rank's time
    double least = 0;    ///< the fastest repetition's

    /// Bytes per second that each link of a ring would carry: 2 (n - 1) / n of the payload, the measure of
    /// nccl-tests, comparable between numbers of ranks.
    double bus_bandwidth(int ranks) const;
};

/// Times sums of f32 payloads from 4 KiB to `largest` bytes, fourfold each, `repetitions` times after a
/// warm-up. Verifies the sums. Collective.
std::vector<CollectiveTime> measure_sums(comm::Communicator& communicator, std::size_t largest,
                                         int repetitions);

std::string collectives_json(const std::vector<CollectiveTime>& rows, int ranks, int nodes,
                             const std::string& library, const std::string& command);

}  // namespace terrane::bench

#pragma once

#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "device/backend.hpp"

namespace terrane::bench {

/// One size of a gradient sum over all ranks.
struct CollectiveTime {
    std::size_t bytes = 0;
    double seconds = 0;  ///< median over the repetitions of the slowest rank's time
    double least = 0;    ///< the fastest repetition's

    /// Bytes per second that each link of a ring would carry: payload / time * 2 (n - 1) / n, the "busbw" of
    /// an all-reduce in nccl-tests (github.com/NVIDIA/nccl-tests, doc/PERFORMANCE.md, section AllReduce),
    /// comparable between numbers of ranks and with what the hardware is said to carry.
    double bus_bandwidth(int ranks) const;
};

/// Times sums of f32 payloads from 4 KiB to `largest` bytes, fourfold each, `repetitions` times after a
/// warm-up. Verifies the sums. Collective.
std::vector<CollectiveTime> measure_sums(comm::Communicator& communicator, std::size_t largest,
                                         int repetitions);

/// The same for sums that are queued in device memory (Collectives::are_queued), by NCCL: as in nccl-tests,
/// `repetitions` sums are queued one behind the other and waited for once, five times over; `seconds` and
/// `least` are those of one sum. Verifies a sum of each size. Collective over `communicator`, whose ranks are
/// those of `sums`.
std::vector<CollectiveTime> measure_queued_sums(device::Backend& backend, device::Collectives& sums,
                                                comm::Communicator& communicator, std::size_t largest,
                                                int repetitions);

/// What bench comm has measured; `device` is empty where sums go by way of the host only.
struct MeasuredSums {
    std::vector<CollectiveTime> host, device;
};

std::string collectives_json(const MeasuredSums& measured, int ranks, int nodes, const std::string& library,
                             const std::string& command);

}  // namespace terrane::bench

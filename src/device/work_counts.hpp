#pragma once

#include <cstdint>

namespace terrane::device {

/// What a host has asked of a device so far. Backends that compute on the host count nothing.
struct WorkCounts {
    std::int64_t launches = 0;     ///< calls that queue work: kernels of ours, copies, whole recordings
    std::int64_t replayed = 0;     ///< work items within replayed recordings
    std::int64_t host_waits = 0;   ///< times that the host stood still until the device was done
    std::int64_t allocations = 0;  ///< of device and pinned memory

    WorkCounts operator-(const WorkCounts& earlier) const {
        return {launches - earlier.launches, replayed - earlier.replayed, host_waits - earlier.host_waits,
                allocations - earlier.allocations};
    }
};

}  // namespace terrane::device

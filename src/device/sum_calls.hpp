#pragma once

#include <cstdint>
#include <span>

namespace terrane::device {

/// One sum over ranks as it was called for.
struct SumCall {
    const char* kind = "";  ///< "sum of floats", a literal
    std::int64_t bytes = 0;
};

/// Is told what a device's queue sums over ranks, by the thread that queues. Must not allocate.
class SumListener {
  public:
    virtual ~SumListener() = default;
    /// These went into the queue in this order, by calls or with a recording that holds them.
    virtual void sums_queued(std::span<const SumCall> sums) = 0;
    /// Of all that ever went into the queue the first `count` are done.
    virtual void sums_done(std::int64_t count) = 0;
};

}  // namespace terrane::device

#pragma once

#include <span>

namespace terrane::device {

/// What the FlatKernels of a device with a queue are, too: sums over flat buffers that nobody waits for. A
/// result lies in device memory, at `result`, once the queue has come there; so it can be recorded, and read
/// together with others. Equal in every bit to what the FlatKernels' function of that name returns.
class QueuedSums {
  public:
    virtual ~QueuedSums() = default;

    virtual void queue_sum_of_squares(std::span<const float> values, double* result) = 0;
    /// How many values are infinite or not a number.
    virtual void queue_count_of_not_finite(std::span<const float> values, double* result) = 0;
};

}  // namespace terrane::device

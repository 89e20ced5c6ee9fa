#pragma once

#include <span>

#include "device/update.hpp"

namespace terrane::device {

/// Everything that runs over the flat parameter buffers, and the few numbers that decide about an update. All
/// arguments lie in device memory (spans and structs that are passed by value hold addresses in it). Calls
/// only queue, return nothing and can be recorded. Results do not depend on the thread count.
class FlatKernels {
  public:
    virtual ~FlatKernels() = default;

    /// SGD with momentum as in PyTorch: g += decay * w; v = momentum * v + g; w -= rate * v. `average`
    /// follows the new weights (UpdateScalars::average_keep); empty: there is none.
    virtual void sgd(std::span<float> parameters, std::span<const float> gradients, std::span<float> velocity,
                     std::span<float> average, std::span<const UpdateSegment> segments,
                     const UpdateScalars* scalars) = 0;

    /// AdamW (Loshchilov and Hutter 2019, numbers as in PyTorch): w *= 1 - rate * decay; m, v running
    /// moments; w -= rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon). With coupled decay it
    /// is PyTorch's Adam: g += decay * w instead of the first step.
    virtual void adamw(std::span<float> parameters, std::span<const float> gradients,
                       std::span<float> moment1, std::span<float> moment2, std::span<float> average,
                       std::span<const UpdateSegment> segments, const UpdateScalars* scalars) = 0;

    /// *result = the sum of squares, accumulated in double over blocks of fixed size.
    virtual void sum_of_squares(std::span<const float> values, double* result) = 0;
    /// *result = how many values are infinite or not a number.
    virtual void count_not_finite(std::span<const float> values, double* result) = 0;

    /// totals[0] = the sum of weight * value[0] over the losses, totals[1] = value[1] of the first.
    virtual void total_losses(std::span<const LossTerm> losses, double* totals) = 0;
    /// Sets the record's sums and norm to what the facts say of this rank; formulas/update_verdict.hpp.
    virtual void gather(const UpdateFacts& facts, UpdateRecord* record) = 0;
    /// Decides, by the record's sums of all ranks, whether the update is made, with which scalars, and what
    /// the next loss scale is, which goes to *loss_scale, too, unless that is null.
    virtual void judge(const UpdateRules& rules, UpdateRecord* record, float* loss_scale) = 0;
    /// kept = values if the update is made or has no labelled pixel, values = kept if it was left out.
    virtual void settle(std::span<float> values, std::span<float> kept, const UpdateRecord* record) = 0;

    /// average = keep * average + (1 - keep) * values.
    virtual void blend(std::span<float> average, std::span<const float> values, double keep) = 0;

    /// sum += values.
    virtual void add(std::span<float> sum, std::span<const float> values) = 0;

    /// Exchanges the contents of two buffers of equal length.
    virtual void exchange(std::span<float> a, std::span<float> b) = 0;
};

}  // namespace terrane::device

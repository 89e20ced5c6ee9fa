#pragma once

#include <vector>

#include "cuda/queue.hpp"
#include "device/backend.hpp"
#include "device/queued_sums.hpp"

namespace terrane::cuda {

/// Passes over the flat parameter buffers, one launch each. Numbers that a caller waits for (a sum, a flag)
/// are copied to the host, behind everything queued before.
class FlatKernels final : public device::FlatKernels, public device::QueuedSums {
  public:
    /// `memory` serves allocation and copies, and must outlive this; nothing is allocated before the first
    /// use.
    FlatKernels(Queue queue, device::Backend& memory) : queue_(queue), memory_(memory) {}

    void sgd(std::span<float> parameters, std::span<const float> gradients, std::span<float> velocity,
             std::span<const device::UpdateSegment> segments, const device::UpdateScalars& scalars) override;
    void adamw(std::span<float> parameters, std::span<const float> gradients, std::span<float> moment1,
               std::span<float> moment2, std::span<const device::UpdateSegment> segments,
               const device::UpdateScalars& scalars) override;
    double sum_of_squares(std::span<const float> values) override;
    void blend(std::span<float> average, std::span<const float> values, double keep) override;
    void add(std::span<float> sum, std::span<const float> values) override;
    void exchange(std::span<float> a, std::span<float> b) override;
    bool any_not_finite(std::span<const float> values) override;
    void queue_sum_of_squares(std::span<const float> values, double* result) override;
    void queue_count_of_not_finite(std::span<const float> values, double* result) override;

  private:
    /// Device memory of at least so many bytes, kept from call to call.
    std::byte* scratch(std::size_t bytes);
    template <typename Work>
    double sum(std::span<const float> values);
    template <typename Work>
    void queue_sum(std::span<const float> values, double* result);
    /// For the partial sums of one sum after the other, and a result; stays where it is, recorded or not.
    double* room_for_sums();
    template <typename Rule>
    void update(std::size_t elements, std::span<const device::UpdateSegment> segments,
                const device::UpdateScalars& scalars, Rule rule);

    Queue queue_;
    device::Backend& memory_;
    device::Buffer scratch_, sums_;
};

}  // namespace terrane::cuda

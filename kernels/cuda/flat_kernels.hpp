#pragma once

#include <vector>

#include "cuda/queue.hpp"
#include "device/flat_kernels.hpp"
#include "device/memory.hpp"

namespace terrane::cuda {

/// Passes over the flat parameter buffers, one or two launches each.
class FlatKernels final : public device::FlatKernels {
  public:
    /// `memory` serves allocation, and must outlive this; nothing is allocated before the first use of a
    /// function, nor after it.
    FlatKernels(Queue queue, device::Memory& memory) : queue_(queue), memory_(memory) {}

    void sgd(std::span<float> parameters, std::span<const float> gradients, std::span<float> velocity,
             std::span<float> average, std::span<const device::UpdateSegment> segments,
             const device::UpdateScalars* scalars) override;
    void adamw(std::span<float> parameters, std::span<const float> gradients, std::span<float> moment1,
               std::span<float> moment2, std::span<float> average,
               std::span<const device::UpdateSegment> segments,
               const device::UpdateScalars* scalars) override;
    void sum_of_squares(std::span<const float> values, double* result) override;
    void count_not_finite(std::span<const float> values, double* result) override;
    void total_losses(std::span<const device::LossTerm> losses, double* totals) override;
    void gather(const device::UpdateFacts& facts, device::UpdateRecord* record) override;
    void judge(const device::UpdateRules& rules, device::UpdateRecord* record, float* loss_scale) override;
    void settle(std::span<float> values, std::span<float> kept, const device::UpdateRecord* record) override;
    void blend(std::span<float> average, std::span<const float> values, double keep) override;
    void add(std::span<float> sum, std::span<const float> values) override;
    void exchange(std::span<float> a, std::span<float> b) override;

  private:
    /// Device memory of at least so many bytes.
    std::byte* scratch(std::size_t bytes);
    template <typename Work>
    void queue_sum(std::span<const float> values, double* result);
    template <typename Rule>
    void update(std::size_t elements, std::span<const device::UpdateSegment> segments,
                const device::UpdateScalars* scalars, const Rule& rule);

    Queue queue_;
    device::Memory& memory_;
    std::vector<device::Buffer> scratch_;  ///< the last is the largest; recordings may still use others
    device::Buffer sums_;                  ///< partial sums; stay where they are, recorded or not
};

}  // namespace terrane::cuda

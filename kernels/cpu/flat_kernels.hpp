#pragma once

#include <vector>

#include "formulas/host_verdicts.hpp"

namespace terrane::cpu {

/// OpenMP over blocks of fixed size. Sums are formed per block and added up in the order of the blocks, so
/// that no result depends on the number of threads.
class FlatKernels final : public formulas::HostVerdicts {
  public:
    void sgd(std::span<float> parameters, std::span<const float> gradients, std::span<float> velocity,
             std::span<float> average, std::span<const device::UpdateSegment> segments,
             const device::UpdateScalars* scalars) override;
    void adamw(std::span<float> parameters, std::span<const float> gradients, std::span<float> moment1,
               std::span<float> moment2, std::span<float> average,
               std::span<const device::UpdateSegment> segments,
               const device::UpdateScalars* scalars) override;
    void sum_of_squares(std::span<const float> values, double* result) override;
    void count_not_finite(std::span<const float> values, double* result) override;
    void settle(std::span<float> values, std::span<float> kept, const device::UpdateRecord* record) override;
    void blend(std::span<float> average, std::span<const float> values, double keep) override;
    void add(std::span<float> sum, std::span<const float> values) override;
    void exchange(std::span<float> a, std::span<float> b) override;

  private:
    std::vector<double> block_sums_;  // kept between calls, so that a step allocates nothing
};

}  // namespace terrane::cpu

#pragma once

#include "device/sample_kernels.hpp"
#include "formulas/host_verdicts.hpp"

namespace terrane::ref {

class RefFlatKernels final : public formulas::HostVerdicts {
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
};

class RefSampleKernels final : public device::SampleKernels {
  public:
    void assemble(const device::ModalitySample& sample, const device::SampleTransform& transform) override;
    void assemble_labels(const TensorView& tile, const device::SampleTransform& transform,
                         const TensorView& output, std::uint8_t outside) override;
    void write(std::span<const float> values, const TensorView& output) override;
};

}  // namespace terrane::ref

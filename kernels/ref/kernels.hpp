#pragma once

#include "device/flat_kernels.hpp"
#include "device/sample_kernels.hpp"

namespace terrane::ref {

class RefFlatKernels final : public device::FlatKernels {
  public:
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
};

class RefSampleKernels final : public device::SampleKernels {
  public:
    void assemble(const device::ModalitySample& sample, const device::SampleTransform& transform) override;
    void assemble_labels(const TensorView& tile, const device::SampleTransform& transform,
                         const TensorView& output, std::uint8_t outside) override;
    void write(std::span<const float> values, const TensorView& output) override;
};

}  // namespace terrane::ref

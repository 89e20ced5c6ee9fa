#pragma once

#include "device/sample_kernels.hpp"

namespace terrane::cpu {

/// OpenMP over the rows of the output.
class SampleKernels final : public device::SampleKernels {
  public:
    void assemble(const device::ModalitySample& sample, const device::SampleTransform& transform) override;
    void assemble_labels(const TensorView& tile, const device::SampleTransform& transform,
                         const TensorView& output, std::uint8_t outside) override;
    void write(std::span<const float> values, const TensorView& output) override;
};

}  // namespace terrane::cpu

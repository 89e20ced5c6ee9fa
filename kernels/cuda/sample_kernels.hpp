#pragma once

#include "cuda/queue.hpp"
#include "device/sample_kernels.hpp"

namespace terrane::cuda {

/// Cuts, turns, normalises and casts samples; a thread per output pixel.
class SampleKernels final : public device::SampleKernels {
  public:
    explicit SampleKernels(Queue queue) : queue_(queue) {}

    void assemble(const device::ModalitySample& sample, const device::SampleTransform& transform) override;
    void assemble_labels(const TensorView& tile, const device::SampleTransform& transform,
                         const TensorView& output) override;

  private:
    Queue queue_;
};

}  // namespace terrane::cuda

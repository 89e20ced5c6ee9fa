#pragma once

#include "cuda/queue.hpp"
#include "device/memory.hpp"
#include "device/sample_kernels.hpp"

namespace terrane::cuda {

/// Cuts, turns, normalises and casts samples; a thread per output pixel. Tiles are copied to the device
/// first, into memory that is kept from call to call.
class SampleKernels final : public device::SampleKernels {
  public:
    /// `memory` serves allocation and copies, and must outlive this; nothing is allocated before the first
    /// use.
    SampleKernels(Queue queue, device::Memory& memory) : queue_(queue), memory_(memory) {}

    void assemble(const device::ModalitySample& sample, const device::SampleTransform& transform) override;
    void assemble_labels(const TensorView& tile, const device::SampleTransform& transform,
                         const TensorView& output, std::uint8_t outside) override;
    void write(std::span<const float> values, const TensorView& output) override;

  private:
    /// Device memory of at least so many bytes.
    std::byte* staging(std::size_t bytes);

    Queue queue_;
    device::Memory& memory_;
    device::Buffer staging_;
};

}  // namespace terrane::cuda

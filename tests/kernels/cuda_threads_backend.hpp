#pragma once

#include <memory>

#include "device/backend.hpp"

namespace terrane::test {

/// Which of the ways without cuDNN computes attention.
enum class AttentionKernels { tiles, products };

/// The CUDA backend's own kernels, every thread of every kernel run on the host.
std::unique_ptr<device::Backend> make_cuda_threads_backend(
    AttentionKernels attention = AttentionKernels::tiles);

}  // namespace terrane::test

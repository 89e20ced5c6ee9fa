#pragma once

#include <memory>

#include "device/backend.hpp"

namespace terrane::test {

/// The CUDA backend's own kernels, every thread of every kernel run on the host.
std::unique_ptr<device::Backend> make_cuda_threads_backend();

}  // namespace terrane::test

#pragma once

#include <memory>

#include "device/backend.hpp"

namespace terrane::cuda {

/// The backend for one NVIDIA GPU of those that the process sees: number `local_rank`, counted around if
/// there are fewer. What it can run so far is stated in docs/gpu-status.md. Throws Error E0712 (exit code 69)
/// if this build has no CUDA, E0713 if the machine has no usable device.
std::unique_ptr<device::Backend> make_cuda_backend(int local_rank = 0);

}  // namespace terrane::cuda

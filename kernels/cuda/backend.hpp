#pragma once

#include <memory>
#include <string>

#include "device/backend.hpp"

namespace terrane::cuda {

/// The backend for one NVIDIA GPU of those that the process sees: number `local_rank`, counted around if
/// there are fewer. What it can run so far is stated in docs/gpu-status.md. Throws Error E0712 (exit code 69)
/// if this build has no CUDA, E0713 if the machine has no usable device or this build no kernels for it,
/// E0718 if the driver or a library is not for this build.
std::unique_ptr<device::Backend> make_cuda_backend(int local_rank = 0);

/// Why make_cuda_backend would refuse, without a full stop; empty if it would not. Takes nothing of the
/// device.
std::string why_unusable(int local_rank = 0);

}  // namespace terrane::cuda

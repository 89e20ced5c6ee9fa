// Built in place of the backend where nvcc is missing.
#include "base/error.hpp"
#include "cuda/backend.hpp"

namespace terrane::cuda {

std::unique_ptr<device::Backend> make_cuda_backend(int) {
    throw Error(ExitCode::device_unavailable, 712, "This terrane was built without CUDA.",
                "Use --device cpu, or build where nvcc is on PATH with -DTERRANE_CUDA=ON.");
}

std::string why_unusable(int) {
    return "this terrane was built without CUDA";
}

}  // namespace terrane::cuda

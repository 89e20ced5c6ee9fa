#include "cuda/runtime.hpp"

#include "base/error.hpp"

namespace terrane::cuda {

void check(cudaError_t status, const char* call) {
    if (status == cudaSuccess) return;
    throw Error(
        ExitCode::device_unavailable, 714,
        fmt::format("CUDA call {} failed: {} ({}).", call, cudaGetErrorString(status),
                    cudaGetErrorName(status)),
        "See the driver's log (dmesg, nvidia-smi -q); after a device fault the process must be restarted.");
}

void check_launch() {
    TERRANE_CUDA_CHECK(cudaGetLastError());
}

}  // namespace terrane::cuda

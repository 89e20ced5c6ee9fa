#include <cublasLt.h>

#include "cuda/libraries.hpp"
#include "cuda/nccl_calls.hpp"
#include "cuda/runtime.hpp"
#include "cuda/versions.hpp"

namespace terrane::cuda {

void require_library_versions() {
    require_version({"cuBLAS",
                     {CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR, CUBLAS_VER_PATCH},
                     of_cublas(static_cast<int>(cublasLtGetVersion()))});
    require_cudnn_version();
}

std::vector<std::string> loaded_versions() {
    int runtime = 0, driver = 0;
    TERRANE_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    TERRANE_CUDA_CHECK(cudaDriverGetVersion(&driver));
    std::vector<std::string> versions{"cuda " + of_cuda(runtime).text(),
                                      "driver for cuda " + of_cuda(driver).text(),
                                      "cublas " + of_cublas(static_cast<int>(cublasLtGetVersion())).text()};
    for (const std::string& version : {cudnn_version(), nccl_version()}) {
        if (!version.empty()) versions.push_back(version);
    }
    return versions;
}

}  // namespace terrane::cuda

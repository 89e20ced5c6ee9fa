#include <cublasLt.h>

#include "cuda/libraries.hpp"
#include "cuda/nccl_calls.hpp"
#include "cuda/versions.hpp"

namespace terrane::cuda {

void require_library_versions() {
    require_version({"cuBLAS",
                     {CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR, CUBLAS_VER_PATCH},
                     of_cublas(static_cast<int>(cublasLtGetVersion()))});
    require_cudnn_version();
}

}  // namespace terrane::cuda

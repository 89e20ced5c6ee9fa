#include <cudnn.h>

#include "cuda/libraries.hpp"
#include "cuda/versions.hpp"

namespace terrane::cuda {

void require_cudnn_version() {
    require_version({"cuDNN",
                     {CUDNN_MAJOR, CUDNN_MINOR, CUDNN_PATCHLEVEL},
                     of_cudnn(static_cast<long long>(cudnnGetVersion()))});
}

std::string cudnn_version() {
    return "cudnn " + of_cudnn(static_cast<long long>(cudnnGetVersion())).text();
}

}  // namespace terrane::cuda

#pragma once

#include <cuda_runtime_api.h>

namespace terrane::cuda {

/// Throws Error E0714 with the call's text and CUDA's own words if the call failed.
void check(cudaError_t status, const char* call);

}  // namespace terrane::cuda

/// Every CUDA call goes through here, once.
#define TERRANE_CUDA_CHECK(call) ::terrane::cuda::check((call), #call)

// Built in place of nccl_library.cpp where NCCL is missing.
#include "cuda/nccl_calls.hpp"

namespace terrane::cuda {

std::unique_ptr<NcclCalls> make_nccl_calls() {
    return nullptr;
}

}  // namespace terrane::cuda

// Built in place of nccl_library.cpp where NCCL is missing.
#include "cuda/nccl_calls.hpp"

namespace terrane::cuda {

std::unique_ptr<NcclCalls> make_nccl_calls() {
    return nullptr;
}

std::string nccl_version() {
    return {};
}

}  // namespace terrane::cuda

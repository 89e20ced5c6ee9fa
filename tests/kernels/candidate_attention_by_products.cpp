#include "kernels/candidate.hpp"
#include "kernels/cuda_threads_backend.hpp"

namespace terrane::test {

std::unique_ptr<device::Backend> make_candidate() {
    return make_cuda_threads_backend(AttentionKernels::products);
}

std::vector<DType> candidate_types() {
    return {DType::f32, DType::bf16, DType::f16};
}

}  // namespace terrane::test

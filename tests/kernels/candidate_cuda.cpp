#include "base/error.hpp"
#include "cuda/backend.hpp"
#include "kernels/candidate.hpp"
#include "support/skip.hpp"

namespace terrane::test {

std::unique_ptr<device::Backend> make_candidate() {
    try {
        return cuda::make_cuda_backend();
    } catch (const Error& error) {
        if (error.exit_code() != ExitCode::device_unavailable) throw;
        skip(error.message());
    }
}

std::vector<DType> candidate_types() {
    return {DType::f32, DType::bf16, DType::f16};
}

}  // namespace terrane::test

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
    return {DType::f32, DType::bf16};
}

// Grows with the backend; every other op is refused, with a clear text, when its plan is made.
bool candidate_has(const ops::Op& op) {
    return std::holds_alternative<ops::Resize>(op);
}

}  // namespace terrane::test

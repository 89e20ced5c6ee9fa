#include "kernels/candidate.hpp"
#include "ref/backend.hpp"

namespace terrane::test {

std::unique_ptr<device::Backend> make_candidate() {
    return ref::make_ref_backend();
}

std::vector<DType> candidate_types() {
    return {DType::f32, DType::bf16, DType::f16, DType::f64};
}

}  // namespace terrane::test

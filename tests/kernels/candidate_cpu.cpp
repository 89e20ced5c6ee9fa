#include "cpu/backend.hpp"
#include "kernels/candidate.hpp"

namespace terrane::test {

std::unique_ptr<device::Backend> make_candidate() {
    return cpu::make_cpu_backend();
}

std::vector<DType> candidate_types() {
    return {DType::f32};
}

bool candidate_has(const ops::Op&) {
    return true;
}

}  // namespace terrane::test

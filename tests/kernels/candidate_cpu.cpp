#include "cpu/backend.hpp"
#include "cpu/isa.hpp"
#include "kernels/candidate.hpp"

namespace terrane::test {

std::unique_ptr<device::Backend> make_candidate() {
    return cpu::make_cpu_backend();
}

std::vector<DType> candidate_types() {
    // oneDNN multiplies in bf16 only where there is AVX-512.
    if (cpu::isa() == cpu::Isa::avx512) return {DType::f32, DType::bf16};
    return {DType::f32};
}

}  // namespace terrane::test

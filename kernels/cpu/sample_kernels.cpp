#include "cpu/sample_kernels.hpp"

#include "base/error.hpp"

namespace terrane::cpu {

void SampleKernels::assemble(const device::ModalitySample&, const device::SampleTransform&) {
    throw InternalError("the cpu backend does not assemble samples yet");
}

void SampleKernels::assemble_labels(const TensorView&, const device::SampleTransform&, const TensorView&) {
    throw InternalError("the cpu backend does not assemble labels yet");
}

}  // namespace terrane::cpu

#include "app/backend_choice.hpp"

#include "cpu/backend.hpp"
#include "ref/backend.hpp"

namespace terrane::app {

std::unique_ptr<device::Backend> choose_backend(const std::string& device) {
    if (device == "ref") return ref::make_ref_backend();
    if (device == "cuda") {
        throw Error(ExitCode::device_unavailable, 712,
                    "--device cuda: this program was built without a CUDA backend.", "Use --device cpu.");
    }
    return cpu::make_cpu_backend();
}

DType compute_type(const std::string& precision) {
    return precision == "bf16" ? DType::bf16 : DType::f32;
}

}  // namespace terrane::app

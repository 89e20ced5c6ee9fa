#include "app/backend_choice.hpp"

#include "cpu/backend.hpp"
#include "cuda/backend.hpp"
#include "ref/backend.hpp"

namespace terrane::app {

std::unique_ptr<device::Backend> choose_backend(const std::string& device) {
    if (device == "ref") return ref::make_ref_backend();
    if (device == "cuda") return cuda::make_cuda_backend();
    return cpu::make_cpu_backend();
}

}  // namespace terrane::app

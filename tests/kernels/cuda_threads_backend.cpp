#include "kernels/cuda_threads_backend.hpp"

#include <cstring>

#include "cuda/flat_kernels.hpp"
#include "cuda/make_kernels.hpp"
#include "cuda/sample_kernels.hpp"

namespace terrane::test {

namespace {

class CudaThreadsBackend final : public device::Backend {
  public:
    std::string name() const override { return "cuda threads"; }
    std::string description() const override { return "the CUDA kernels' threads, one after another"; }

    device::Buffer allocate(std::size_t bytes) override { return device::allocate_host(bytes); }
    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        if (auto plan = cuda::make_kernel_plan(request, {})) return plan;
        throw InternalError(fmt::format("no kernel for {}", ops::name_of(request.descriptor.op)));
    }

    device::FlatKernels& flat_kernels() override { return flat_; }
    device::SampleKernels& sample_kernels() override { return sample_; }

    void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) override {
        if (bytes > 0) std::memcpy(device, host, bytes);
    }
    void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) override {
        if (bytes > 0) std::memcpy(host, device, bytes);
    }
    void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) override {
        if (bytes > 0) std::memcpy(to, from, bytes);
    }
    void synchronise() override {}

  private:
    cuda::FlatKernels flat_{{}, *this};
    cuda::SampleKernels sample_{{}, *this};
};

}  // namespace

std::unique_ptr<device::Backend> make_cuda_threads_backend() {
    return std::make_unique<CudaThreadsBackend>();
}

}  // namespace terrane::test

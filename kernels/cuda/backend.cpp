#include "cuda/backend.hpp"

#include "cuda/flat_kernels.hpp"
#include "cuda/make_kernels.hpp"
#include "cuda/runtime.hpp"
#include "cuda/sample_kernels.hpp"

namespace terrane::cuda {

namespace {

class CudaBackend final : public device::Backend {
  public:
    explicit CudaBackend(const cudaDeviceProp& properties)
        : description_(fmt::format("{}, compute capability {}.{}, {} GB", properties.name, properties.major,
                                   properties.minor, properties.totalGlobalMem >> 30)) {}

    std::string name() const override { return "cuda"; }
    std::string description() const override { return description_; }

    device::Buffer allocate(std::size_t bytes) override {
        if (bytes == 0) return {};
        void* block = nullptr;
        const cudaError_t status = cudaMalloc(&block, bytes);
        if (status == cudaErrorMemoryAllocation) {
            cudaGetLastError();  // this failure is reported here and must not surface in a later check
            throw Error(ExitCode::device_unavailable, 710,
                        fmt::format("{} MB of GPU memory can't be allocated.", bytes >> 20),
                        "Use a smaller batch or crop; 'terrane inspect' prints the memory plan.");
        }
        TERRANE_CUDA_CHECK(status);
        device::Buffer buffer(static_cast<std::byte*>(block), bytes,
                              [](std::byte* data) { static_cast<void>(cudaFree(data)); });
        TERRANE_CUDA_CHECK(cudaMemset(block, 0, bytes));
        return buffer;
    }

    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        if (auto plan = make_kernel_plan(request, {})) return plan;
        throw Error(ExitCode::device_unavailable, 720,
                    fmt::format("The cuda backend can't run {} on {}.", ops::name_of(request.descriptor.op),
                                name_of(request.descriptor.inputs[0].dtype)),
                    "Use --device cpu; docs/gpu-status.md lists what runs on a GPU.");
    }

    device::FlatKernels& flat_kernels() override { return flat_; }
    device::SampleKernels& sample_kernels() override { return sample_; }

    void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) override {
        TERRANE_CUDA_CHECK(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice));
    }
    void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) override {
        TERRANE_CUDA_CHECK(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost));
    }
    void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) override {
        TERRANE_CUDA_CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToDevice));
    }
    void synchronise() override { TERRANE_CUDA_CHECK(cudaDeviceSynchronize()); }

  private:
    std::string description_;
    FlatKernels flat_{{}, *this};
    SampleKernels sample_{{}};
};

}  // namespace

std::unique_ptr<device::Backend> make_cuda_backend() {
    int devices = 0;
    const cudaError_t status = cudaGetDeviceCount(&devices);
    if (status != cudaSuccess || devices == 0) {
        throw Error(ExitCode::device_unavailable, 713,
                    fmt::format("No CUDA device can be used: {}.",
                                status != cudaSuccess ? cudaGetErrorString(status) : "the driver shows none"),
                    "Run 'nvidia-smi' on this node; in a Slurm job ask for --gpus; or use --device cpu.");
    }
    cudaDeviceProp properties;
    TERRANE_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
    return std::make_unique<CudaBackend>(properties);
}

}  // namespace terrane::cuda

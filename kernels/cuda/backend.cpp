#include "cuda/backend.hpp"

#include "cuda/flat_kernels.hpp"
#include "cuda/libraries.hpp"
#include "cuda/make_kernels.hpp"
#include "cuda/recording.hpp"
#include "cuda/runtime.hpp"
#include "cuda/sample_kernels.hpp"

namespace terrane::cuda {

namespace {

class CudaBackend final : public device::Backend {
  public:
    explicit CudaBackend(const cudaDeviceProp& properties)
        : description_(fmt::format("{}, compute capability {}.{}, {} GB", properties.name, properties.major,
                                   properties.minor, properties.totalGlobalMem >> 30)),
          libraries_(compute_.queue(), properties.name) {}

    std::string name() const override { return "cuda"; }
    std::string description() const override { return description_; }

    device::Buffer allocate(std::size_t bytes) override { return allocate_device(bytes, compute_.queue()); }

    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        std::string refusals;
        if (auto plan = libraries_.make_plan(request, refusals)) return plan;
        if (auto plan = make_kernel_plan(request, compute_.queue())) return plan;
        throw Error(
            ExitCode::device_unavailable, 720,
            fmt::format("The cuda backend can't run {} on {} {}.{} kernels: no such type or size.",
                        ops::name_of(request.descriptor.op), name_of(request.descriptor.inputs[0].dtype),
                        request.descriptor.inputs[0].shape.text(), refusals),
            "Change the sizes or the precision, or use --device cpu; docs/gpu-status.md lists what runs on a "
            "GPU.");
    }

    device::FlatKernels& flat_kernels() override { return flat_; }
    device::SampleKernels& sample_kernels() override { return sample_; }

    bool shares_host_memory() const override { return false; }
    void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) override {
        uploads_.copy(device, host, bytes, compute_.queue());
    }
    void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) override {
        if (bytes == 0) return;
        TERRANE_CUDA_CHECK(
            cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, compute_.queue().stream));
        compute_.synchronise();
    }
    void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) override {
        if (bytes == 0) return;
        TERRANE_CUDA_CHECK(
            cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, compute_.queue().stream));
    }
    void synchronise() override { compute_.synchronise(); }

    std::unique_ptr<Recording> record(const std::function<void()>& work) override {
        return capture(compute_.queue(), work);
    }

  private:
    static constexpr std::size_t upload_half = std::size_t{32} << 20;

    std::string description_;
    Stream compute_;
    UploadRing uploads_{upload_half};
    Libraries libraries_;
    FlatKernels flat_{compute_.queue(), *this};
    SampleKernels sample_{compute_.queue(), *this};
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

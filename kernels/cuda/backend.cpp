#include "cuda/backend.hpp"

#include <nvtx3/nvToolsExt.h>

#include "cuda/feed.hpp"
#include "cuda/flat_kernels.hpp"
#include "cuda/host_wait.hpp"
#include "cuda/libraries.hpp"
#include "cuda/make_kernels.hpp"
#include "cuda/nccl_sums.hpp"
#include "cuda/recording.hpp"
#include "cuda/runtime.hpp"
#include "cuda/sum_stream.hpp"
#include "cuda/versions.hpp"
#include "device/recorded_sums.hpp"

namespace terrane::cuda {

namespace {

// As nvidia-smi writes it.
std::string text_of(const cudaUUID_t& uuid) {
    std::string text = "GPU";
    for (int i = 0; i < 16; ++i) {
        if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
    }
    return text;
}

class EventMark final : public device::Backend::Mark {
  public:
    EventMark(Queue queue, HostWait& host_wait, const std::weak_ptr<NcclSums>& sums)
        : queue_(queue), host_wait_(host_wait), sums_(sums) {}

    void set() override {
        event_.record(queue_);
        if (const auto sums = sums_.lock()) sums_before_ = sums->before_next_work();
    }
    void wait() override {
        await();
        if (const auto sums = sums_.lock()) sums->done(sums_before_);
    }

  private:
    void await() {
        if (event_.is_done()) return;
        if (host_wait_.is_checked()) ++cuda::work_counts().host_waits;  // else Event::wait counts
        host_wait_.until([this] { return event_.is_done(); }, [this] { event_.wait(); });
    }

    Queue queue_;
    HostWait& host_wait_;
    const std::weak_ptr<NcclSums>& sums_;
    std::int64_t sums_before_ = 0;
    Event event_;
};

class CudaBackend final : public device::Backend {
  public:
    explicit CudaBackend(const cudaDeviceProp& properties)
        : description_(fmt::format("{}, compute capability {}.{}, {} GB", properties.name, properties.major,
                                   properties.minor, properties.totalGlobalMem >> 30)),
          id_(text_of(properties.uuid)),
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

    bool computes_in(DType dtype) const override {
        return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16;
    }
    void set_float32_products(device::Float32Products products) override {
        libraries_.set_float32_products(products);
    }

    std::vector<std::string> library_versions() const override { return loaded_versions(); }

    device::FlatKernels& flat_kernels() override { return flat_; }
    device::SampleKernels& sample_kernels() override { return feed_; }

    std::string device_id() const override { return id_; }
    device::Buffer allocate_staging(std::size_t bytes) override { return allocate_pinned(bytes); }
    std::shared_ptr<device::Collectives> connect(const device::DeviceGroup& group) override {
        auto calls = make_nccl_calls();
        if (!calls) return nullptr;
        auto sums = std::make_shared<NcclSums>(std::move(calls),
                                               std::make_unique<CudaSumStream>(compute_.queue()), group);
        sums_ = sums;
        host_wait_.set_check([this](std::chrono::duration<double> waited) {
            if (const auto alive = sums_.lock()) alive->check(waited);
        });
        return sums;
    }

    bool shares_host_memory() const override { return false; }
    void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) override {
        uploads_.copy(device, host, bytes, compute_.queue());
    }
    void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) override {
        if (bytes == 0) return;
        // The driver itself waits with memory that is not pinned; what other ranks may hold up is waited for
        // here.
        if (host_wait_.is_checked()) synchronise();
        copy_to_host_later(host, device, bytes);
        synchronise();
    }
    void copy_to_host_later(std::byte* host, const std::byte* device, std::size_t bytes) override {
        if (bytes == 0) return;
        ++cuda::work_counts().launches;
        TERRANE_CUDA_CHECK(
            cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, compute_.queue().stream));
    }
    void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) override {
        if (bytes == 0) return;
        ++cuda::work_counts().launches;
        TERRANE_CUDA_CHECK(
            cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, compute_.queue().stream));
    }
    void synchronise() override {
        if (host_wait_.is_checked()) ++cuda::work_counts().host_waits;  // else Stream::synchronise counts
        host_wait_.until([this] { return compute_.is_done(); }, [this] { compute_.synchronise(); });
        if (const auto sums = sums_.lock()) sums->done(sums->before_next_work());
    }
    std::unique_ptr<Mark> make_mark() override {
        return std::make_unique<EventMark>(compute_.queue(), host_wait_, sums_);
    }
    device::WorkCounts work_counts() const override { return cuda::work_counts(); }
    std::optional<std::size_t> memory_left() const override {
        std::size_t left = 0, all = 0;
        TERRANE_CUDA_CHECK(cudaMemGetInfo(&left, &all));
        return left;
    }
    void enter_phase(const char* name) override { nvtxRangePushA(name); }
    void leave_phase() override { nvtxRangePop(); }

    std::unique_ptr<Recording> record(const std::function<void()>& work) override {
        const auto sums = sums_.lock();
        return device::record_with_sums(sums.get(), [&] { return capture(compute_.queue(), work); });
    }

  private:
    static constexpr std::size_t upload_half = std::size_t{32} << 20;

    std::string description_;
    std::string id_;
    Stream compute_;
    HostWait host_wait_;
    std::weak_ptr<NcclSums> sums_;
    UploadRing uploads_{upload_half};
    Libraries libraries_;
    FlatKernels flat_{compute_.queue(), *this};
    Feed feed_{compute_.queue()};
};

}  // namespace

namespace {

[[noreturn]] void refuse_machine(const std::string& why) {
    throw Error(ExitCode::device_unavailable, 713, fmt::format("No CUDA device can be used: {}.", why),
                "Run 'nvidia-smi' on this node; in a Slurm job ask for --gpus; or use --device cpu.");
}

/// Throws Error E0713 or E0718 unless there is a driver for this build.
void require_driver() {
    int driver = 0, runtime = 0;
    TERRANE_CUDA_CHECK(cudaDriverGetVersion(&driver));
    TERRANE_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
    if (driver == 0) refuse_machine("no NVIDIA driver is loaded");
    require_version({"NVIDIA's driver", of_cuda(runtime), of_cuda(driver), Compatibility::same_major});
}

struct Device {
    int number = 0;
    cudaDeviceProp properties;
};

/// The device of a local rank, with all that this build needs of it and around it. It is not entered.
Device require_device(int local_rank) {
    require_driver();
    int devices = 0;
    const cudaError_t status = cudaGetDeviceCount(&devices);
    if (status != cudaSuccess) refuse_machine(cudaGetErrorString(status));
    if (devices == 0) refuse_machine("the driver shows none");
    Device device;
    device.number = local_rank % devices;
    TERRANE_CUDA_CHECK(cudaGetDeviceProperties(&device.properties, device.number));
    require_kernels_for(TERRANE_CUDA_ARCHITECTURES, device.properties.name, device.properties.major,
                        device.properties.minor);
    require_library_versions();
    return device;
}

}  // namespace

std::unique_ptr<device::Backend> make_cuda_backend(int local_rank) {
    const Device device = require_device(local_rank);
    TERRANE_CUDA_CHECK(cudaSetDevice(device.number));
    return std::make_unique<CudaBackend>(device.properties);
}

std::string why_unusable(int local_rank) {
    try {
        require_device(local_rank);
        return {};
    } catch (const Error& error) {
        std::string reason = error.message();
        if (reason.ends_with('.')) reason.pop_back();
        return reason;
    }
}

}  // namespace terrane::cuda

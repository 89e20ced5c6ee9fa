#include "kernels/cuda_threads_backend.hpp"

#include <cstring>

#include "cuda/attention_by_products.hpp"
#include "cuda/flat_kernels.hpp"
#include "cuda/make_kernels.hpp"
#include "cuda/sample_kernels.hpp"
#include "kernels/host_product.hpp"

namespace terrane::test {

namespace {

/// Bytes of scores that attention by products works on at a time: the larger cases take several groups of
/// heads, or of samples.
constexpr std::int64_t small_group = 6000;

class CudaThreadsBackend final : public device::Backend {
  public:
    explicit CudaThreadsBackend(AttentionKernels attention) : attention_(attention) {}

    std::string name() const override { return "cuda threads"; }
    std::string description() const override { return "the CUDA kernels' threads, one after another"; }

    device::Buffer allocate(std::size_t bytes) override { return device::allocate_host(bytes); }
    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        const auto* attention = std::get_if<ops::Attention>(&request.descriptor.op);
        if (attention != nullptr && attention_ == AttentionKernels::products) {
            std::string reason;
            auto plan = cuda::make_attention_by_products(*attention, request, {}, make_host_product, reason,
                                                         small_group);
            if (!plan) throw InternalError("no attention by products: " + reason);
            return plan;
        }
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
    AttentionKernels attention_;
    cuda::FlatKernels flat_{{}, *this};
    cuda::SampleKernels sample_{{}, *this};
};

}  // namespace

std::unique_ptr<device::Backend> make_cuda_threads_backend(AttentionKernels attention) {
    return std::make_unique<CudaThreadsBackend>(attention);
}

}  // namespace terrane::test

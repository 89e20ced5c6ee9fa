#include "ref/backend.hpp"

#include <cstring>

#include "ref/kernels.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

class RefBackend final : public device::Backend {
  public:
    std::string name() const override { return "ref"; }
    std::string description() const override { return "reference loops in double precision"; }

    device::Buffer allocate(std::size_t bytes) override { return device::allocate_host(bytes); }

    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        return std::visit([&](const auto& op) { return make(op, request); }, request.descriptor.op);
    }

    bool computes_in(DType dtype) const override {
        return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::bf16 || dtype == DType::f16;
    }
    device::FlatKernels& flat_kernels() override { return flat_kernels_; }
    device::SampleKernels& sample_kernels() override { return sample_kernels_; }

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
    RefFlatKernels flat_kernels_;
    RefSampleKernels sample_kernels_;
};

}  // namespace

void refuse_backward(std::string_view op) {
    TERRANE_ASSERT(false, "{} has no backward pass", op);
    std::abort();
}

void refuse_type(std::string_view op, DType dtype) {
    throw Error(ExitCode::device_unavailable, 720,
                fmt::format("The reference backend has no {} for {} activations.", op, name_of(dtype)),
                "Use f32, f64, bf16 or f16.");
}

std::unique_ptr<device::Backend> make_ref_backend() {
    return std::make_unique<RefBackend>();
}

}  // namespace terrane::ref

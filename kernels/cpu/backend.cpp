#include "cpu/backend.hpp"

#include <omp.h>

#include <cstring>

#include "cpu/dnnl_primitives.hpp"
#include "cpu/flat_kernels.hpp"
#include "cpu/plans.hpp"
#include "cpu/sample_kernels.hpp"

namespace terrane::cpu {

namespace {

std::string shapes_of(std::span<const TensorSpec> specs) {
    std::string text;
    for (const TensorSpec& spec : specs) {
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(spec.dtype), spec.shape.text());
    }
    return text;
}

class CpuBackend final : public device::Backend {
  public:
    std::string name() const override { return "cpu"; }

    std::string description() const override {
        return fmt::format("cpu, oneDNN {} for {}, {} threads", onednn::version(), onednn::instruction_set(),
                           threads_);
    }

    device::Buffer allocate(std::size_t bytes) override { return device::allocate_host(bytes); }

    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        const ops::OpDescriptor& descriptor = request.descriptor;
        const auto choices = std::visit([](const auto& op) { return candidates(op); }, descriptor.op);
        std::string refusals;
        for (const Candidate& candidate : choices) {
            Offer offer = candidate.make(request);
            if (auto* plan = std::get_if<std::unique_ptr<device::OpPlan>>(&offer)) return std::move(*plan);
            refusals += fmt::format(" {}: {}.", candidate.name, std::get<Refusal>(offer).reason);
        }
        throw Error(ExitCode::device_unavailable, 720,
                    fmt::format("The cpu backend can't run {} on {} -> {}.{}", ops::name_of(descriptor.op),
                                shapes_of(descriptor.inputs), shapes_of(descriptor.outputs),
                                refusals.empty() ? " It has no candidate for this op." : refusals),
                    "Change the sizes or the precision, or run on another device.");
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
    void synchronise() override {}  // every kernel returns when its work is done

  private:
    int threads_ = omp_get_max_threads();
    FlatKernels flat_;
    SampleKernels sample_;
};

}  // namespace

std::unique_ptr<device::Backend> make_cpu_backend() {
    if (!onednn::is_there()) {
        throw Error(
            ExitCode::device_unavailable, 712,
            "This copy of terrane computes on GPUs only: it was bundled without oneDNN.",
            "Use --device cuda, make the bundle with scripts/bundle.sh --cpu, or try --device ref, which is "
            "slow.");
    }
    return std::make_unique<CpuBackend>();
}

}  // namespace terrane::cpu

#include <cstring>

#include "cpu/element.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {
namespace {

constexpr std::int64_t block = 1 << 14;

template <typename T>
class ScaleGradientPlan final : public LoopPlan {
  public:
    explicit ScaleGradientPlan(const device::PlanRequest& request)
        : elements_(request.descriptor.inputs[0].shape.elements()) {}

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        T* const y = arguments.outputs[0].as<T>();
        for_blocks([&](std::int64_t first, std::int64_t count) {
            std::memcpy(y + first, x + first, static_cast<std::size_t>(count) * sizeof(T));
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const device::GradientTarget& target = arguments.input_gradients[0];
        T* const dx = optional<T>(target.view);
        if (!dx) return;
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        const float factor = *arguments.inputs[1].as<float>();
        const float kept = target.write == device::GradientWrite::accumulate ? 1.0f : 0.0f;
        for_blocks([&](std::int64_t first, std::int64_t count) {
            for (std::int64_t i = first; i < first + count; ++i) {
                store(dx + i, factor * load(dy + i) + (kept != 0 ? load(dx + i) : 0.0f));
            }
        });
    }

  private:
    template <typename Body>
    void for_blocks(const Body& body) const {
        parallel_blocks((elements_ + block - 1) / block, elements_, [&](std::int64_t index) {
            body(index * block, std::min(block, elements_ - index * block));
        });
    }

    std::int64_t elements_;
};

}  // namespace

Offer make_scale_gradient(const device::PlanRequest& request) {
    return offer_by_type<ScaleGradientPlan>(request);
}

}  // namespace terrane::cpu

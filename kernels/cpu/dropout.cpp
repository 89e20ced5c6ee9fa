#include <cstring>

#include "cpu/memory_plans.hpp"
#include "cpu/multiply_rows.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/uniform_draws.hpp"

namespace terrane::cpu {
namespace {

template <typename T>
TERRANE_INLINE void drop_elements(const T* x, T* y, Draw draw, std::int64_t begin, std::int64_t end,
                                  float kept) {
    const float threshold = static_cast<float>(draw.probability);
    for (std::int64_t at = begin; at < end; at += drawn) {
        float uniform[drawn];
        draw_uniform(draw, at, uniform);
        const std::int64_t count = end - at < drawn ? end - at : drawn;
#pragma omp simd
        for (std::int64_t i = 0; i < count; ++i) {
            store(y + at + i, uniform[i] >= threshold ? load(x + at + i) * kept : 0.0f);
        }
    }
}

template <typename T>
class DropoutPlan final : public LoopPlan {
  public:
    explicit DropoutPlan(const device::PlanRequest& request)
        : op_(std::get<ops::Dropout>(request.descriptor.op)), shape_(request.descriptor.inputs[0].shape) {
        identity_ = request.mode == device::Mode::inference || op_.probability == 0;
        if (!identity_ && op_.kind == ops::DropoutKind::channel) {
            const auto factors = static_cast<std::size_t>(shape_.batch() * shape_.channels());
            requirements_.forward_workspace = factors * sizeof(float);
            requirements_.backward_workspace = wants_any_gradient(request) ? factors * sizeof(float) : 0;
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        apply(arguments.inputs[0].as<T>(), arguments.outputs[0].as<T>(), arguments.step, arguments.workspace);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& dx = arguments.input_gradients[0].view;
        if (!dx) return;
        apply(arguments.output_gradients[0][0].as<T>(), dx.as<T>(), arguments.step, arguments.workspace);
    }

  private:
    /// The same linear map serves values and gradients.
    void apply(const T* x, T* y, const device::StepState* step, std::byte* workspace) const {
        const std::int64_t per_sample = shape_.elements() / shape_.batch();
        const std::int64_t bytes = 2 * shape_.elements() * static_cast<std::int64_t>(sizeof(T));
        const float kept = static_cast<float>(1.0 / (1.0 - op_.probability));
        if (identity_) {
            if (x == y) return;
            parallel_range(shape_.elements(), bytes, 1024, [&](std::int64_t begin, std::int64_t end) {
                std::memcpy(y + begin, x + begin, static_cast<std::size_t>(end - begin) * sizeof(T));
            });
            return;
        }
        const auto draw = [&](std::int64_t sample, std::int64_t elements) {
            return Draw{step->seed, op_.stream,     step->step, step->first_sample + sample,
                        elements,   op_.probability};
        };
        if (op_.kind == ops::DropoutKind::element) {
            constexpr std::int64_t cost = 16;  // drawing takes that many times longer than copying
            parallel_range(shape_.elements(), bytes * cost, 64, [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t at = begin; at < end;) {
                    const std::int64_t sample = at / per_sample;
                    const std::int64_t start = sample * per_sample;
                    const std::int64_t stop = std::min(end, start + per_sample);
                    const Draw here = draw(sample, per_sample);
                    vectorised(
                        [&] { drop_elements(x + start, y + start, here, at - start, stop - start, kept); });
                    at = stop;
                }
            });
            return;
        }
        const std::int64_t channels = shape_.channels();
        auto* const factors = reinterpret_cast<float*>(workspace);
        for (std::int64_t sample = 0; sample < shape_.batch(); ++sample) {
            const Draw here = draw(sample, channels);
            for (std::int64_t c = 0; c < channels; ++c)
                factors[sample * channels + c] = here.keeps(c) ? kept : 0.0f;
        }
        const std::int64_t rows = per_sample / channels;
        parallel_range(shape_.batch() * rows, bytes, 1, [&](std::int64_t begin, std::int64_t end) {
            vectorised([&] { multiply_rows(x, factors, y, begin, end, rows, channels); });
        });
    }

    ops::Dropout op_;
    Shape shape_;
    bool identity_ = false;
};

}  // namespace

Offer make_dropout(const device::PlanRequest& request) {
    return offer_by_type<DropoutPlan>(request);
}

}  // namespace terrane::cpu

#include <cstring>

#include "cpu/element.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/vector_math.hpp"

/// Activation and Add.
namespace terrane::cpu {
namespace {

constexpr std::int64_t grain = 1024;  // elements

using ops::ActivationKind;

/// See formulas/activation.hpp, whose maths this is with functions that vectorise.
template <ActivationKind kind>
TERRANE_INLINE float activate(float x) {
    if constexpr (kind == ActivationKind::relu) return x > 0 ? x : 0;
    if constexpr (kind == ActivationKind::gelu) return x * normal_cumulative(x);
    if constexpr (kind == ActivationKind::silu) return x * sigmoid(x);
    if constexpr (kind == ActivationKind::sigmoid) return sigmoid(x);
}

template <ActivationKind kind>
TERRANE_INLINE float activation_slope(float kept) {
    if constexpr (kind == ActivationKind::relu) return kept > 0 ? 1.0f : 0.0f;
    if constexpr (kind == ActivationKind::gelu) {
        const float density = 0.39894228040143268f * exponential(-0.5f * kept * kept);
        return normal_cumulative(kept) + kept * density;
    }
    if constexpr (kind == ActivationKind::silu) {
        const float gate = sigmoid(kept);
        return gate * (1.0f + kept * (1.0f - gate));
    }
    if constexpr (kind == ActivationKind::sigmoid) return kept * (1.0f - kept);
}

template <ActivationKind kind, typename T>
TERRANE_INLINE void activate_all(const T* x, T* y, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) store(y + i, activate<kind>(load(x + i)));
}

template <ActivationKind kind, typename T>
TERRANE_INLINE void activation_gradients(const T* kept, const T* dy, T* dx, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) {
        const float gradient = load(dy + i);
        const float value = load(kept + i);
        if constexpr (kind == ActivationKind::relu) {
            store(dx + i, value > 0 ? gradient : 0.0f);
        } else {
            store(dx + i, gradient * activation_slope<kind>(value));
        }
    }
}

template <typename Run>
void with_kind(ActivationKind kind, const Run& run) {
    switch (kind) {
        case ActivationKind::relu:
            return run.template operator()<ActivationKind::relu>();
        case ActivationKind::gelu:
            return run.template operator()<ActivationKind::gelu>();
        case ActivationKind::silu:
            return run.template operator()<ActivationKind::silu>();
        case ActivationKind::sigmoid:
            return run.template operator()<ActivationKind::sigmoid>();
    }
}

template <typename T>
class ActivationPlan final : public LoopPlan {
  public:
    explicit ActivationPlan(const device::PlanRequest& request)
        : kind_(std::get<ops::Activation>(request.descriptor.op).kind),
          count_(request.descriptor.inputs[0].shape.elements()) {}

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        T* const y = arguments.outputs[0].as<T>();
        with_kind(kind_, [&]<ActivationKind kind>() {
            parallel_range(count_, bytes(2), grain, [&](std::int64_t begin, std::int64_t end) {
                vectorised([&] { activate_all<kind>(x + begin, y + begin, end - begin); });
            });
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& target = arguments.input_gradients[0].view;
        if (!target) return;
        const bool from_output = kind_ == ActivationKind::relu || kind_ == ActivationKind::sigmoid;
        const T* const kept = (from_output ? arguments.outputs[0] : arguments.inputs[0]).as<T>();
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        T* const dx = target.as<T>();
        with_kind(kind_, [&]<ActivationKind kind>() {
            parallel_range(count_, bytes(3), grain, [&](std::int64_t begin, std::int64_t end) {
                vectorised(
                    [&] { activation_gradients<kind>(kept + begin, dy + begin, dx + begin, end - begin); });
            });
        });
    }

  private:
    std::int64_t bytes(std::int64_t streams) const {
        return streams * count_ * static_cast<std::int64_t>(sizeof(T));
    }

    ActivationKind kind_;
    std::int64_t count_;
};

template <typename T>
TERRANE_INLINE void add_two(const T* a, const T* b, T* y, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) store(y + i, load(a + i) + load(b + i));
}

constexpr std::int64_t sum_strip = 1024;  // elements whose fp32 sum stays in the first-level cache

template <typename T>
TERRANE_INLINE void read_strip(const T* x, float* sum, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) sum[i] = load(x + i);
}
template <typename T>
TERRANE_INLINE void add_strip(const T* x, float* sum, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) sum[i] += load(x + i);
}
template <typename T>
TERRANE_INLINE void write_strip(const float* sum, T* y, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) store(y + i, sum[i]);
}

template <typename T>
class AddPlan final : public LoopPlan {
  public:
    explicit AddPlan(const device::PlanRequest& request)
        : terms_(static_cast<std::int64_t>(request.descriptor.inputs.size())),
          count_(request.descriptor.inputs[0].shape.elements()) {}

    void forward(const device::ForwardArguments& arguments) override {
        T* const y = arguments.outputs[0].as<T>();
        const std::int64_t bytes = (terms_ + 1) * count_ * static_cast<std::int64_t>(sizeof(T));
        parallel_range(count_, bytes, grain, [&](std::int64_t begin, std::int64_t end) {
            if (terms_ == 2) {
                const T* const a = arguments.inputs[0].as<T>();
                const T* const b = arguments.inputs[1].as<T>();
                vectorised([&] { add_two(a + begin, b + begin, y + begin, end - begin); });
            } else {
                add_many(arguments.inputs, y, begin, end);
            }
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const std::byte* const dy = arguments.output_gradients[0][0].data;
        constexpr auto size = static_cast<std::int64_t>(sizeof(T));
        for (const device::GradientTarget& target : arguments.input_gradients) {
            if (!target.view || target.view.data == dy) continue;
            parallel_range(count_, 2 * count_ * size, grain, [&](std::int64_t begin, std::int64_t end) {
                std::memcpy(target.view.data + begin * size, dy + begin * size,
                            static_cast<std::size_t>((end - begin) * size));
            });
        }
    }

  private:
    static void add_many(std::span<const TensorView> inputs, T* y, std::int64_t begin, std::int64_t end) {
        float sum[sum_strip];
        for (std::int64_t at = begin; at < end; at += sum_strip) {
            const std::int64_t count = std::min(sum_strip, end - at);
            const T* const first = inputs[0].as<T>() + at;
            vectorised([&] { read_strip(first, sum, count); });
            for (const TensorView& input : inputs.subspan(1)) {
                const T* const next = input.as<T>() + at;
                vectorised([&] { add_strip(next, sum, count); });
            }
            vectorised([&] { write_strip(sum, y + at, count); });
        }
    }

    std::int64_t terms_;
    std::int64_t count_;
};

}  // namespace

Offer make_activation(const device::PlanRequest& request) {
    return offer_by_type<ActivationPlan>(request);
}

Offer make_add(const device::PlanRequest& request) {
    return offer_by_type<AddPlan>(request);
}

}  // namespace terrane::cpu

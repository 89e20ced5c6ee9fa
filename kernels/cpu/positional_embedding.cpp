#include <algorithm>
#include <cstring>

#include "cpu/element.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {
namespace {

template <typename T>
TERRANE_INLINE void add_row(const T* x, const float* embedding, T* y, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) store(y + i, load(x + i) + embedding[i]);
}

/// Sum over the samples, one after the other, of elements `stride` apart.
template <typename T>
TERRANE_INLINE void sum_samples(const T* dy, float* target, bool adds, std::int64_t count,
                                std::int64_t samples, std::int64_t stride) {
    constexpr std::int64_t chunk = 256;
    for (std::int64_t first = 0; first < count; first += chunk) {
        const std::int64_t length = count - first < chunk ? count - first : chunk;
        float sum[chunk] = {};
        for (std::int64_t n = 0; n < samples; ++n) {
            const T* const from = dy + n * stride + first;
#pragma omp simd
            for (std::int64_t i = 0; i < length; ++i) sum[i] += load(from + i);
        }
        float* const to = target + first;
#pragma omp simd
        for (std::int64_t i = 0; i < length; ++i) to[i] = adds ? to[i] + sum[i] : sum[i];
    }
}

template <typename T>
class PositionalEmbeddingPlan final : public LoopPlan {
  public:
    explicit PositionalEmbeddingPlan(const device::PlanRequest& request) {
        const Shape& x = request.descriptor.inputs[0].shape;
        samples_ = x.batch();
        per_sample_ = x.elements() / samples_;
        skipped_ = std::get<ops::PositionalEmbedding>(request.descriptor.op).skip * x.channels();
    }

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        const float* const embedding = arguments.inputs[1].as<float>() + skipped_;
        T* const y = arguments.outputs[0].as<T>();
        parallel_range(per_sample_, bytes(), 64, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t n = 0; n < samples_; ++n) {
                const std::int64_t at = n * per_sample_ + begin;
                vectorised([&] { add_row(x + at, embedding + begin, y + at, end - begin); });
            }
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        if (T* const dx = optional<T>(arguments.input_gradients[0].view); dx && dx != dy) {
            parallel_range(samples_ * per_sample_, bytes(), 64, [&](std::int64_t begin, std::int64_t end) {
                std::memcpy(dx + begin, dy + begin, static_cast<std::size_t>(end - begin) * sizeof(T));
            });
        }
        const device::GradientTarget& target = arguments.input_gradients[1];
        if (!target.view) return;
        const bool adds = target.write == device::GradientWrite::accumulate;
        float* const embedding = target.view.as<float>();
        if (!adds) std::fill_n(embedding, skipped_, 0.0f);
        parallel_range(per_sample_, bytes(), 64, [&](std::int64_t begin, std::int64_t end) {
            vectorised([&] {
                sum_samples(dy + begin, embedding + skipped_ + begin, adds, end - begin, samples_,
                            per_sample_);
            });
        });
    }

  private:
    std::int64_t bytes() const { return 2 * samples_ * per_sample_ * static_cast<std::int64_t>(sizeof(T)); }

    std::int64_t samples_ = 0, per_sample_ = 0, skipped_ = 0;
};

}  // namespace

Offer make_positional_embedding(const device::PlanRequest& request) {
    return offer_by_type<PositionalEmbeddingPlan>(request);
}

}  // namespace terrane::cpu

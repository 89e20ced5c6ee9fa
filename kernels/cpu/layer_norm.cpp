#include "cpu/element.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "formulas/norm.hpp"

namespace terrane::cpu {
namespace {

constexpr std::int64_t block_rows = 256;  // rows whose parameter gradients are added in fp32

struct Statistics {
    float mean, inverse_std;
};

template <typename T>
TERRANE_INLINE Statistics statistics_of(const T* x, std::int64_t channels, double epsilon) {
    const float share = 1.0f / static_cast<float>(channels);
    const float pivot = load(x);  // keeps the sums small where the mean is large
    const float shift = lane_sum(channels, [&](std::int64_t c) { return load(x + c) - pivot; }) * share;
    const float mean = pivot + shift;
    const float spread = lane_sum(channels, [&](std::int64_t c) {
        const float d = (load(x + c) - pivot) - shift;
        return d * d;
    });
    const double variance = static_cast<double>(spread) * static_cast<double>(share);
    return {mean, static_cast<float>(formulas::inverse_deviation(variance, epsilon))};
}

template <typename T>
TERRANE_INLINE void normalise_rows(const T* x, const float* scale, const float* shift, T* y, float* kept,
                                   std::int64_t rows, std::int64_t channels, double epsilon) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const T* const from = x + row * channels;
        T* const to = y + row * channels;
        const Statistics statistics = statistics_of(from, channels, epsilon);
        if (kept) {
            kept[2 * row] = statistics.mean;
            kept[2 * row + 1] = statistics.inverse_std;
        }
        const float mean = statistics.mean, inverse_std = statistics.inverse_std;
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) {
            store(to + c, (load(from + c) - mean) * inverse_std * scale[c] + shift[c]);
        }
    }
}

/// One block of rows: dx if not null, and the block's part of dscale and dshift in fp32.
template <typename T>
TERRANE_INLINE void gradient_rows(const T* x, const float* scale, const float* kept, const T* dy, T* dx,
                                  float* dscale, float* dshift, std::int64_t rows, std::int64_t channels) {
#pragma omp simd
    for (std::int64_t c = 0; c < channels; ++c) {
        dscale[c] = 0;
        dshift[c] = 0;
    }
    const float share = 1.0f / static_cast<float>(channels);
    for (std::int64_t row = 0; row < rows; ++row) {
        const T* const from = x + row * channels;
        const T* const gradient = dy + row * channels;
        const float mean = kept[2 * row], inverse_std = kept[2 * row + 1];
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) {
            const float g = load(gradient + c);
            dscale[c] += g * ((load(from + c) - mean) * inverse_std);
            dshift[c] += g;
        }
        if (!dx) continue;
        const float mean_g =
            lane_sum(channels, [&](std::int64_t c) { return scale[c] * load(gradient + c); }) * share;
        const float mean_g_xhat =
            lane_sum(channels,
                     [&](std::int64_t c) {
                         return scale[c] * load(gradient + c) * ((load(from + c) - mean) * inverse_std);
                     }) *
            share;
        T* const to = dx + row * channels;
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) {
            const float xhat = (load(from + c) - mean) * inverse_std;
            store(to + c, inverse_std * (scale[c] * load(gradient + c) - mean_g - xhat * mean_g_xhat));
        }
    }
}

template <typename T>
class LayerNormPlan final : public LoopPlan {
  public:
    explicit LayerNormPlan(const device::PlanRequest& request)
        : op_(std::get<ops::LayerNorm>(request.descriptor.op)),
          rows_(request.descriptor.inputs[0].shape.pixels()),
          channels_(request.descriptor.inputs[0].shape.channels()),
          blocks_((rows_ + block_rows - 1) / block_rows) {
        if (!wants_any_gradient(request)) return;
        requirements_.saved = static_cast<std::size_t>(2 * rows_) * sizeof(float);
        requirements_.backward_workspace = static_cast<std::size_t>(2 * blocks_ * channels_) * sizeof(float);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        const float* const scale = arguments.inputs[1].as<float>();
        const float* const shift = arguments.inputs[2].as<float>();
        T* const y = arguments.outputs[0].as<T>();
        float* const kept = requirements_.saved > 0 ? reinterpret_cast<float*>(arguments.saved) : nullptr;
        parallel_range(rows_, bytes(2), 1, [&](std::int64_t begin, std::int64_t end) {
            vectorised([&] {
                normalise_rows(x + begin * channels_, scale, shift, y + begin * channels_,
                               kept ? kept + 2 * begin : nullptr, end - begin, channels_, op_.epsilon);
            });
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        const float* const scale = arguments.inputs[1].as<float>();
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        T* const dx = optional<T>(arguments.input_gradients[0].view);
        const float* const kept = reinterpret_cast<const float*>(arguments.saved);
        float* const dscales = reinterpret_cast<float*>(arguments.workspace);
        float* const dshifts = dscales + blocks_ * channels_;
        parallel_blocks(blocks_, bytes(3), [&](std::int64_t block) {
            const std::int64_t first = block * block_rows;
            const std::int64_t at = first * channels_;
            vectorised([&] {
                gradient_rows(x + at, scale, kept + 2 * first, dy + at, dx ? dx + at : nullptr,
                              dscales + block * channels_, dshifts + block * channels_,
                              rows_ - first < block_rows ? rows_ - first : block_rows, channels_);
            });
        });
        add_blocks(dscales, arguments.input_gradients[1]);
        add_blocks(dshifts, arguments.input_gradients[2]);
    }

  private:
    std::int64_t bytes(std::int64_t streams) const {
        return streams * rows_ * channels_ * static_cast<std::int64_t>(sizeof(T));
    }

    void add_blocks(const float* parts, const device::GradientTarget& target) const {
        if (!target.view) return;
        float* const out = target.view.as<float>();
        parallel_range(channels_, blocks_ * channels_ * 4, 16, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t c = begin; c < end; ++c) {
                double sum = 0;
                for (std::int64_t block = 0; block < blocks_; ++block) {
                    sum += static_cast<double>(parts[block * channels_ + c]);
                }
                put(out[c], sum, target.write);
            }
        });
    }

    ops::LayerNorm op_;
    std::int64_t rows_, channels_, blocks_;
};

}  // namespace

Offer make_layer_norm(const device::PlanRequest& request) {
    return offer_by_type<LayerNormPlan>(request);
}

}  // namespace terrane::cpu

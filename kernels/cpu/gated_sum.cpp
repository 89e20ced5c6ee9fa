#include <array>

#include "cpu/memory_plans.hpp"
#include "cpu/multiply_rows.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/vector_math.hpp"

namespace terrane::cpu {
namespace {

constexpr std::size_t most_streams = 16;
constexpr std::int64_t strip = 256;  // channels whose fp32 sum stays in the first-level cache

/// presence * sigmoid(gate); a stream that is absent is not even read, whatever it holds.
TERRANE_INLINE float gate_of(float presence, float gate) {
    return presence == 0 ? 0.0f : presence * sigmoid(gate);
}

template <typename T>
TERRANE_INLINE void weigh_row(const T* x, float weight, float* sum, std::int64_t count) {
#pragma omp simd
    for (std::int64_t c = 0; c < count; ++c) sum[c] += weight * load(x + c);
}

template <typename T>
TERRANE_INLINE void weigh_two(const T* a, float weight_a, const T* b, float weight_b, T* z,
                              std::int64_t count) {
#pragma omp simd
    for (std::int64_t c = 0; c < count; ++c) store(z + c, weight_a * load(a + c) + weight_b * load(b + c));
}

template <typename T>
using Streams = std::array<T*, most_streams>;

/// Pixels [begin, end) of one sample; pointers are to the sample's first pixel.
template <typename T>
TERRANE_INLINE void sum_pixels(const Streams<const T>& x, const T* gates, const float* presence, T* z,
                               std::int64_t begin, std::int64_t end, std::int64_t channels,
                               std::int64_t streams) {
    for (std::int64_t pixel = begin; pixel < end; ++pixel) {
        float weight[most_streams];
        for (std::int64_t m = 0; m < streams; ++m) {
            weight[m] = gate_of(presence[m], load(gates + pixel * streams + m));
        }
        T* const out = z + pixel * channels;
        if (streams == 2 && weight[0] != 0 && weight[1] != 0) {
            weigh_two(x[0] + pixel * channels, weight[0], x[1] + pixel * channels, weight[1], out, channels);
            continue;
        }
        for (std::int64_t first = 0; first < channels; first += strip) {
            const std::int64_t count = channels - first < strip ? channels - first : strip;
            float sum[strip];
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) sum[c] = 0;
            for (std::int64_t m = 0; m < streams; ++m) {
                if (weight[m] != 0) {
                    weigh_row(x[static_cast<std::size_t>(m)] + pixel * channels + first, weight[m], sum,
                              count);
                }
            }
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) store(out + first + c, sum[c]);
        }
    }
}

/// dx may hold null pointers, dgates may be null.
template <typename T>
TERRANE_INLINE void gradient_pixels(const Streams<const T>& x, const T* gates, const float* presence,
                                    const T* dz, const Streams<T>& dx, T* dgates, std::int64_t begin,
                                    std::int64_t end, std::int64_t channels, std::int64_t streams) {
    for (std::int64_t pixel = begin; pixel < end; ++pixel) {
        const T* const dz_row = dz + pixel * channels;
        for (std::int64_t m = 0; m < streams; ++m) {
            const auto stream = static_cast<std::size_t>(m);
            const float logit = load(gates + pixel * streams + m);
            const float weight = gate_of(presence[m], logit);
            if (dx[stream]) multiply_row(dz_row, weight, dx[stream] + pixel * channels, channels);
            if (dgates) {
                const float slope = weight == 0 ? 0.0f
                                                : weight * (1.0f - sigmoid(logit)) *
                                                      dot_row(dz_row, x[stream] + pixel * channels, channels);
                store(dgates + pixel * streams + m, slope);
            }
        }
    }
}

template <typename T>
class GatedSumPlan final : public LoopPlan {
  public:
    explicit GatedSumPlan(const device::PlanRequest& request)
        : shape_(request.descriptor.outputs[0].shape), streams_(request.descriptor.inputs.size() - 2) {}

    void forward(const device::ForwardArguments& arguments) override {
        const T* const gates = arguments.inputs[streams_].as<T>();
        const float* const presence = arguments.inputs[streams_ + 1].as<float>();
        T* const z = arguments.outputs[0].as<T>();
        for_pixels(count() + 1, [&](std::int64_t sample, std::int64_t begin, std::int64_t end) {
            const Streams<const T> x = streams_of(arguments.inputs, sample);
            const std::int64_t pixel = sample * pixels();
            vectorised([&] {
                sum_pixels(x, gates + pixel * count(), presence + sample * count(),
                           z + pixel * shape_.channels(), begin, end, shape_.channels(), count());
            });
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const T* const gates = arguments.inputs[streams_].as<T>();
        const float* const presence = arguments.inputs[streams_ + 1].as<float>();
        const T* const dz = arguments.output_gradients[0][0].as<T>();
        T* const dgates = optional<T>(arguments.input_gradients[streams_].view);
        for_pixels(2 * count() + 1, [&](std::int64_t sample, std::int64_t begin, std::int64_t end) {
            const Streams<const T> x = streams_of(arguments.inputs, sample);
            const std::int64_t pixel = sample * pixels();
            Streams<T> dx{};
            for (std::size_t m = 0; m < streams_; ++m) {
                T* const target = optional<T>(arguments.input_gradients[m].view);
                dx[m] = target ? target + pixel * shape_.channels() : nullptr;
            }
            vectorised([&] {
                gradient_pixels(
                    x, gates + pixel * count(), presence + sample * count(), dz + pixel * shape_.channels(),
                    dx, dgates ? dgates + pixel * count() : nullptr, begin, end, shape_.channels(), count());
            });
        });
    }

  private:
    std::int64_t count() const { return static_cast<std::int64_t>(streams_); }
    std::int64_t pixels() const { return shape_.height() * shape_.width(); }

    Streams<const T> streams_of(std::span<const TensorView> inputs, std::int64_t sample) const {
        Streams<const T> x{};
        for (std::size_t m = 0; m < streams_; ++m) {
            const T* const first = optional<T>(inputs[m]);
            x[m] = first ? first + sample * pixels() * shape_.channels() : nullptr;
        }
        return x;
    }

    /// body(sample, begin, end) over the pixels of all samples.
    template <typename Body>
    void for_pixels(std::int64_t tensors, const Body& body) const {
        const std::int64_t bytes = tensors * shape_.elements() * static_cast<std::int64_t>(sizeof(T));
        parallel_range(shape_.pixels(), bytes, 1, [&](std::int64_t begin, std::int64_t end) {
            while (begin < end) {
                const std::int64_t sample = begin / pixels();
                const std::int64_t start = sample * pixels();
                const std::int64_t stop = std::min(end, start + pixels());
                body(sample, begin - start, stop - start);
                begin = stop;
            }
        });
    }

    Shape shape_;
    std::size_t streams_;
};

}  // namespace

Offer make_gated_sum(const device::PlanRequest& request) {
    if (request.descriptor.inputs.size() - 2 > most_streams) return Refusal{"more than 16 streams"};
    return offer_by_type<GatedSumPlan>(request);
}

}  // namespace terrane::cpu

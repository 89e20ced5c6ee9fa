#include <array>

#include "cpu/memory_plans.hpp"
#include "cpu/multiply_rows.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/vector_math.hpp"

namespace terrane::cpu {
namespace {

constexpr std::size_t most_streams = 16;

constexpr std::int64_t run = 64;  // pixels whose gates are opened at once, so that the sigmoid vectorises

template <typename T>
TERRANE_INLINE void open_gates(const T* logits, float* opened, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) opened[i] = sigmoid(load(logits + i));
}

/// A stream that is absent has weight 0 whatever its gate is, and is not even read.
TERRANE_INLINE float weight_of(float presence, float opened) {
    return presence == 0 ? 0.0f : presence * opened;
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
    float opened[run * most_streams];
    for (std::int64_t pixel = begin; pixel < end; ++pixel) {
        const std::int64_t place = (pixel - begin) % run;
        if (place == 0) {
            open_gates(gates + pixel * streams, opened, (end - pixel < run ? end - pixel : run) * streams);
        }
        float weight[most_streams];
        for (std::int64_t m = 0; m < streams; ++m) {
            weight[m] = weight_of(presence[m], opened[place * streams + m]);
        }
        T* const out = z + pixel * channels;
        if (streams == 2 && weight[0] != 0 && weight[1] != 0) {
            weigh_two(x[0] + pixel * channels, weight[0], x[1] + pixel * channels, weight[1], out, channels);
            continue;
        }
        for_strips(channels, [&](std::int64_t first, std::int64_t count) TERRANE_INLINE_LAMBDA {
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
        });
    }
}

/// dx may hold null pointers, dgates may be null.
template <typename T>
TERRANE_INLINE void gradient_pixels(const Streams<const T>& x, const T* gates, const float* presence,
                                    const T* dz, const Streams<T>& dx, T* dgates, std::int64_t begin,
                                    std::int64_t end, std::int64_t channels, std::int64_t streams) {
    float opened[run * most_streams];
    for (std::int64_t pixel = begin; pixel < end; ++pixel) {
        const std::int64_t place = (pixel - begin) % run;
        if (place == 0) {
            open_gates(gates + pixel * streams, opened, (end - pixel < run ? end - pixel : run) * streams);
        }
        const T* const dz_row = dz + pixel * channels;
        for (std::int64_t m = 0; m < streams; ++m) {
            const auto stream = static_cast<std::size_t>(m);
            const float gate = opened[place * streams + m];
            const float weight = weight_of(presence[m], gate);
            if (dx[stream]) multiply_row(dz_row, weight, dx[stream] + pixel * channels, channels);
            if (dgates) {
                const float slope = weight == 0 ? 0.0f
                                                : weight * (1.0f - gate) *
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

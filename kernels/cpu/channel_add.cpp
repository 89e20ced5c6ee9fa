#include <cstring>

#include "cpu/element.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {
namespace {

constexpr std::int64_t block_pixels = 1024;  // whose sums are taken together

template <typename T>
TERRANE_INLINE void add_to_rows(const T* x, const T* shift, T* y, std::int64_t pixels,
                                std::int64_t channels) {
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) {
            store(y + pixel * channels + c, load(x + pixel * channels + c) + load(shift + c));
        }
    }
}

/// sums[c] = sum over the rows, short runs in fp32.
template <typename T>
TERRANE_INLINE void sum_rows(const T* dy, std::int64_t pixels, std::int64_t channels, double* sums) {
    for_strips(channels, [&](std::int64_t first, std::int64_t count) TERRANE_INLINE_LAMBDA {
        double total[strip];
        for (std::int64_t c = 0; c < count; ++c) total[c] = 0;
        for (std::int64_t begin = 0; begin < pixels; begin += 32) {
            const std::int64_t end = begin + 32 < pixels ? begin + 32 : pixels;
            float sum[strip];
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) sum[c] = 0;
            for (std::int64_t pixel = begin; pixel < end; ++pixel) {
#pragma omp simd
                for (std::int64_t c = 0; c < count; ++c) sum[c] += load(dy + pixel * channels + first + c);
            }
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) total[c] += static_cast<double>(sum[c]);
        }
        for (std::int64_t c = 0; c < count; ++c) sums[first + c] = total[c];
    });
}

template <typename T>
class ChannelAddPlan final : public LoopPlan {
  public:
    explicit ChannelAddPlan(const device::PlanRequest& request)
        : x_(request.descriptor.inputs[0].shape),
          shared_(request.descriptor.inputs[1].shape[0] == 1),
          area_(x_.height() * x_.width()),
          blocks_((area_ + block_pixels - 1) / block_pixels) {
        if (wants_gradient(request, 1)) {
            requirements_.backward_workspace =
                static_cast<std::size_t>(x_.batch() * blocks_ * x_.channels()) * sizeof(double);
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        const T* const shift = arguments.inputs[1].as<T>();
        T* const y = arguments.outputs[0].as<T>();
        for_blocks([&](std::int64_t sample, std::int64_t, std::int64_t at, std::int64_t pixels) {
            const T* const row = shift + (shared_ ? 0 : sample * x_.channels());
            vectorised([&] { add_to_rows(x + at, row, y + at, pixels, x_.channels()); });
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        T* const dx = optional<T>(arguments.input_gradients[0].view);
        T* const dshift = optional<T>(arguments.input_gradients[1].view);
        auto* const sums = reinterpret_cast<double*>(arguments.workspace);
        for_blocks([&](std::int64_t, std::int64_t block, std::int64_t at, std::int64_t pixels) {
            const std::int64_t count = pixels * x_.channels();
            if (dx) std::memcpy(dx + at, dy + at, static_cast<std::size_t>(count) * sizeof(T));
            if (!dshift) return;
            double* const place = sums + block * x_.channels();
            vectorised([&] { sum_rows(dy + at, pixels, x_.channels(), place); });
        });
        if (!dshift) return;
        const std::int64_t rows = shared_ ? 1 : x_.batch();
        const std::int64_t blocks = x_.batch() * blocks_ / rows;
        for (std::int64_t i = 0; i < rows * x_.channels(); ++i) {
            double sum = 0;
            for (std::int64_t block = 0; block < blocks; ++block) {
                sum += sums[(i / x_.channels() * blocks + block) * x_.channels() + i % x_.channels()];
            }
            store(dshift + i, static_cast<float>(sum));
        }
    }

  private:
    /// body(sample, block, first element, pixels)
    template <typename Body>
    void for_blocks(const Body& body) const {
        const std::int64_t bytes = 3 * x_.elements() * static_cast<std::int64_t>(sizeof(T));
        parallel_blocks(x_.batch() * blocks_, bytes, [&](std::int64_t block) {
            const std::int64_t sample = block / blocks_, first = block % blocks_ * block_pixels;
            const std::int64_t pixels = std::min(block_pixels, area_ - first);
            body(sample, block, (sample * area_ + first) * x_.channels(), pixels);
        });
    }

    Shape x_;
    bool shared_;
    std::int64_t area_, blocks_;
};

}  // namespace

Offer make_channel_add(const device::PlanRequest& request) {
    return offer_by_type<ChannelAddPlan>(request);
}

}  // namespace terrane::cpu

#include <algorithm>

#include "cpu/element.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {
namespace {

/// One axis of windows over an input of `in` positions.
struct Axis {
    std::int64_t in, out, kernel, stride, padding;

    TERRANE_INLINE std::int64_t begin(std::int64_t window) const {
        const std::int64_t first = window * stride - padding;
        return first > 0 ? first : 0;
    }
    TERRANE_INLINE std::int64_t end(std::int64_t window) const {
        const std::int64_t last = window * stride - padding + kernel;
        return last < in ? last : in;
    }
    /// The windows that hold `position` are [first_window, last_window].
    TERRANE_INLINE std::int64_t first_window(std::int64_t position) const {
        const std::int64_t past = position + padding - kernel + 1;
        return past <= 0 ? 0 : (past + stride - 1) / stride;
    }
    TERRANE_INLINE std::int64_t last_window(std::int64_t position) const {
        const std::int64_t last = (position + padding) / stride;
        return last < out - 1 ? last : out - 1;
    }
};

struct Windows {
    Axis rows, columns;
    std::int64_t channels;
};

/// One row of outputs from the image of one sample. `place`: which element of the window was largest; may be
/// null.
template <bool keeps_place, typename T>
TERRANE_INLINE void maximum_row(const T* x, T* y, std::uint8_t* place, const Windows& windows,
                                std::int64_t p) {
    const std::int64_t channels = windows.channels;
    for (std::int64_t q = 0; q < windows.columns.out; ++q) {
        for_strips(channels, [&](std::int64_t first, std::int64_t count) TERRANE_INLINE_LAMBDA {
            float best[strip];
            std::int32_t where[strip];
            bool begun = false;
            for (std::int64_t i = windows.rows.begin(p); i < windows.rows.end(p); ++i) {
                for (std::int64_t j = windows.columns.begin(q); j < windows.columns.end(q); ++j) {
                    const T* const from = x + (i * windows.columns.in + j) * channels + first;
                    const auto here = static_cast<std::int32_t>(
                        (i + windows.rows.padding - p * windows.rows.stride) * windows.columns.kernel + j +
                        windows.columns.padding - q * windows.columns.stride);
                    if (!begun) {
#pragma omp simd
                        for (std::int64_t c = 0; c < count; ++c) {
                            best[c] = load(from + c);
                            if constexpr (keeps_place) where[c] = here;
                        }
                        begun = true;
                        continue;
                    }
#pragma omp simd
                    for (std::int64_t c = 0; c < count; ++c) {
                        const float value = load(from + c);
                        // A value that is not a number wins and stays, so that it is seen.
                        const bool larger = value > best[c] || value != value;
                        best[c] = larger ? value : best[c];
                        if constexpr (keeps_place) where[c] = larger ? here : where[c];
                    }
                }
            }
            const std::int64_t at = q * channels + first;
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) store(y + at + c, best[c]);
            if constexpr (keeps_place) {
#pragma omp simd
                for (std::int64_t c = 0; c < count; ++c) place[at + c] = static_cast<std::uint8_t>(where[c]);
            }
        });
    }
}

template <typename T>
TERRANE_INLINE void average_row(const T* x, T* y, const Windows& windows, std::int64_t p) {
    const std::int64_t channels = windows.channels;
    const std::int64_t top = windows.rows.begin(p), bottom = windows.rows.end(p);
    for (std::int64_t q = 0; q < windows.columns.out; ++q) {
        const std::int64_t left = windows.columns.begin(q), right = windows.columns.end(q);
        const float share = 1.0f / static_cast<float>((bottom - top) * (right - left));
        for_strips(channels, [&](std::int64_t first, std::int64_t count) TERRANE_INLINE_LAMBDA {
            float sum[strip];
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) sum[c] = 0;
            for (std::int64_t i = top; i < bottom; ++i) {
                for (std::int64_t j = left; j < right; ++j) {
                    const T* const from = x + (i * windows.columns.in + j) * channels + first;
#pragma omp simd
                    for (std::int64_t c = 0; c < count; ++c) sum[c] += load(from + c);
                }
            }
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) store(y + q * channels + first + c, sum[c] * share);
        });
    }
}

/// Gradients of one row of inputs: what each of its windows sends back, in the order of the windows. `dy` and
/// `place` are of the whole sample.
template <bool maximum, typename T>
TERRANE_INLINE void gradient_row(const T* dy, const std::uint8_t* place, T* dx, const Windows& windows,
                                 std::int64_t i) {
    const std::int64_t channels = windows.channels;
    for (std::int64_t j = 0; j < windows.columns.in; ++j) {
        for_strips(channels, [&](std::int64_t first, std::int64_t count) TERRANE_INLINE_LAMBDA {
            float sum[strip];
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) sum[c] = 0;
            for (std::int64_t p = windows.rows.first_window(i); p <= windows.rows.last_window(i); ++p) {
                for (std::int64_t q = windows.columns.first_window(j); q <= windows.columns.last_window(j);
                     ++q) {
                    const std::int64_t at = (p * windows.columns.out + q) * channels + first;
                    if constexpr (maximum) {
                        const auto here = static_cast<std::uint8_t>(
                            (i + windows.rows.padding - p * windows.rows.stride) * windows.columns.kernel +
                            j + windows.columns.padding - q * windows.columns.stride);
#pragma omp simd
                        for (std::int64_t c = 0; c < count; ++c) {
                            sum[c] += place[at + c] == here ? load(dy + at + c) : 0.0f;
                        }
                    } else {
                        const float share =
                            1.0f / static_cast<float>((windows.rows.end(p) - windows.rows.begin(p)) *
                                                      (windows.columns.end(q) - windows.columns.begin(q)));
#pragma omp simd
                        for (std::int64_t c = 0; c < count; ++c) sum[c] += load(dy + at + c) * share;
                    }
                }
            }
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) store(dx + j * channels + first + c, sum[c]);
        });
    }
}

template <typename T>
class PoolPlan final : public LoopPlan {
  public:
    explicit PoolPlan(const device::PlanRequest& request)
        : maximum_(std::get<ops::Pool>(request.descriptor.op).kind == ops::PoolKind::maximum),
          x_(request.descriptor.inputs[0].shape),
          y_(request.descriptor.outputs[0].shape) {
        const auto& op = std::get<ops::Pool>(request.descriptor.op);
        windows_ = {{x_.height(), y_.height(), op.kernel, op.stride, op.padding},
                    {x_.width(), y_.width(), op.kernel, op.stride, op.padding},
                    x_.channels()};
        if (maximum_ && wants_any_gradient(request)) {
            requirements_.saved = static_cast<std::size_t>(y_.elements());
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        T* const y = arguments.outputs[0].as<T>();
        auto* const places =
            requirements_.saved > 0 ? reinterpret_cast<std::uint8_t*>(arguments.saved) : nullptr;
        const std::int64_t height = y_.height();
        const std::int64_t row = y_.width() * y_.channels();
        parallel_range(y_.batch() * height, bytes(), 1, [&](std::int64_t begin, std::int64_t end) {
            vectorised([&] {
                for (std::int64_t at = begin; at < end; ++at) {
                    const T* const image = x + at / height * x_.height() * x_.width() * x_.channels();
                    if (!maximum_) {
                        average_row(image, y + at * row, windows_, at % height);
                    } else if (places) {
                        maximum_row<true>(image, y + at * row, places + at * row, windows_, at % height);
                    } else {
                        maximum_row<false>(image, y + at * row, places, windows_, at % height);
                    }
                }
            });
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        T* const dx = optional<T>(arguments.input_gradients[0].view);
        if (!dx) return;
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        const auto* const places = reinterpret_cast<const std::uint8_t*>(arguments.saved);
        const std::int64_t height = x_.height();
        const std::int64_t row = x_.width() * x_.channels();
        const std::int64_t map = y_.height() * y_.width() * y_.channels();
        parallel_range(x_.batch() * height, bytes(), 1, [&](std::int64_t begin, std::int64_t end) {
            vectorised([&] {
                for (std::int64_t at = begin; at < end; ++at) {
                    const std::int64_t from = at / height * map;
                    if (maximum_) {
                        gradient_row<true>(dy + from, places + from, dx + at * row, windows_, at % height);
                    } else {
                        gradient_row<false>(dy + from, places, dx + at * row, windows_, at % height);
                    }
                }
            });
        });
    }

  private:
    std::int64_t bytes() const {
        return (x_.elements() + y_.elements()) * static_cast<std::int64_t>(sizeof(T));
    }

    bool maximum_;
    Shape x_, y_;
    Windows windows_{};
};

}  // namespace

Offer make_pool(const device::PlanRequest& request) {
    return offer_by_type<PoolPlan>(request);
}

}  // namespace terrane::cpu

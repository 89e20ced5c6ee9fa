#include <vector>

#include "cpu/element.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/reading_list.hpp"

namespace terrane::cpu {
namespace {

/// One row of targets, between the rows first: neighbouring targets mostly read the same two columns, whose
/// blend is then taken once.
template <typename T>
TERRANE_INLINE void blend_row(const T* upper, const T* lower, const formulas::Tap<float>& row,
                              const formulas::Tap<float>* columns, T* y, std::int64_t width,
                              std::int64_t channels) {
    for_strips(channels, [&](std::int64_t first, std::int64_t count) TERRANE_INLINE_LAMBDA {
        float left[strip], right[strip];
        std::int64_t blended = -1;
        const float weight0 = row.weight0, weight1 = row.weight1;
        for (std::int64_t q = 0; q < width; ++q) {
            const formulas::Tap<float> column = columns[q];
            if (column.index0 != blended) {
                const std::int64_t from = column.index0 * channels + first;
                const std::int64_t beside = column.index1 * channels + first;
#pragma omp simd
                for (std::int64_t c = 0; c < count; ++c) {
                    left[c] = weight0 * load(upper + from + c) + weight1 * load(lower + from + c);
                    right[c] = weight0 * load(upper + beside + c) + weight1 * load(lower + beside + c);
                }
                blended = column.index0;
            }
            T* const to = y + q * channels + first;
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) {
                store(to + c, column.weight0 * left[c] + column.weight1 * right[c]);
            }
        }
    });
}

/// Gradients of one row of the source: each pixel gathers from the targets that read it, in their order.
template <typename T>
TERRANE_INLINE void gather_row(const T* dy, const ReadingList& rows, const ReadingList& columns,
                               std::int64_t i, T* dx, std::int64_t channels) {
    const std::int64_t pitch = columns.targets * channels;
    for (std::int64_t j = 0; j < columns.sources; ++j) {
        for_strips(channels, [&](std::int64_t first, std::int64_t count) TERRANE_INLINE_LAMBDA {
            float sum[strip];
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) sum[c] = 0;
            for (std::int64_t p = rows.begin(i); p < rows.end(i); ++p) {
                for (std::int64_t q = columns.begin(j); q < columns.end(j); ++q) {
                    const float weight = rows.weight(i, p) * columns.weight(j, q);
                    const T* const from = dy + p * pitch + q * channels + first;
#pragma omp simd
                    for (std::int64_t c = 0; c < count; ++c) sum[c] += weight * load(from + c);
                }
            }
#pragma omp simd
            for (std::int64_t c = 0; c < count; ++c) store(dx + j * channels + first + c, sum[c]);
        });
    }
}

template <typename T>
class ResizePlan final : public LoopPlan {
  public:
    explicit ResizePlan(const device::PlanRequest& request)
        : x_(request.descriptor.inputs[0].shape),
          y_(request.descriptor.outputs[0].shape),
          rows_(x_.height(), y_.height(), std::get<ops::Resize>(request.descriptor.op).corners),
          columns_(x_.width(), y_.width(), std::get<ops::Resize>(request.descriptor.op).corners) {}

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        T* const y = arguments.outputs[0].as<T>();
        const std::int64_t source_row = x_.width() * x_.channels();
        const std::int64_t target_row = y_.width() * y_.channels();
        parallel_range(y_.batch() * y_.height(), bytes(), 1, [&](std::int64_t begin, std::int64_t end) {
            vectorised([&] {
                for (std::int64_t at = begin; at < end; ++at) {
                    const T* const map = x + at / y_.height() * x_.height() * source_row;
                    const formulas::Tap<float> row = rows_.taps()[at % y_.height()];
                    blend_row(map + row.index0 * source_row, map + row.index1 * source_row, row,
                              columns_.taps(), y + at * target_row, y_.width(), y_.channels());
                }
            });
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        T* const dx = optional<T>(arguments.input_gradients[0].view);
        if (!dx) return;
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        const std::int64_t source_row = x_.width() * x_.channels();
        const std::int64_t target_map = y_.height() * y_.width() * y_.channels();
        parallel_range(x_.batch() * x_.height(), bytes(), 1, [&](std::int64_t begin, std::int64_t end) {
            vectorised([&] {
                for (std::int64_t at = begin; at < end; ++at) {
                    gather_row(dy + at / x_.height() * target_map, rows_, columns_, at % x_.height(),
                               dx + at * source_row, x_.channels());
                }
            });
        });
    }

  private:
    std::int64_t bytes() const {
        return (x_.elements() + y_.elements()) * static_cast<std::int64_t>(sizeof(T));
    }

    Shape x_, y_;
    ReadingList rows_, columns_;
};

}  // namespace

Offer make_resize(const device::PlanRequest& request) {
    return offer_by_type<ResizePlan>(request);
}

}  // namespace terrane::cpu

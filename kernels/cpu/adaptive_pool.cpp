#include "formulas/adaptive_pool.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/norm_passes.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {
namespace {

constexpr std::int64_t widest = 256;  // channels summed at a time

/// Average over [top, bottom) x [left, right) of a map of the given width: rows in fp32, their sum in double.
template <typename T>
TERRANE_INLINE void average_bin(const T* x, T* y, std::int64_t top, std::int64_t bottom, std::int64_t left,
                                std::int64_t right, std::int64_t width, std::int64_t pitch,
                                std::int64_t channels) {
    float row[widest];
    double sum[widest];
    const double share = 1.0 / static_cast<double>((bottom - top) * (right - left));
#pragma omp simd
    for (std::int64_t c = 0; c < channels; ++c) sum[c] = 0;
    for (std::int64_t i = top; i < bottom; ++i) {
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) row[c] = 0;
        for (std::int64_t j = left; j < right; ++j) {
            const T* const from = x + (i * width + j) * pitch;
#pragma omp simd
            for (std::int64_t c = 0; c < channels; ++c) row[c] += load(from + c);
        }
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) sum[c] += static_cast<double>(row[c]);
    }
#pragma omp simd
    for (std::int64_t c = 0; c < channels; ++c) store(y + c, static_cast<float>(sum[c] * share));
}

template <typename T>
TERRANE_INLINE void spread_pixel(const T* dy, T* dx, formulas::Range rows, formulas::Range columns,
                                 const std::int64_t* row_sizes, const std::int64_t* column_sizes,
                                 std::int64_t bins_across, std::int64_t channels) {
    for_strips(channels, [&](std::int64_t first, std::int64_t count) TERRANE_INLINE_LAMBDA {
        float sum[strip];
#pragma omp simd
        for (std::int64_t c = 0; c < count; ++c) sum[c] = 0;
        for (std::int64_t p = rows.begin; p < rows.end; ++p) {
            for (std::int64_t q = columns.begin; q < columns.end; ++q) {
                const float share = 1.0f / static_cast<float>(row_sizes[p] * column_sizes[q]);
                const T* const from = dy + (p * bins_across + q) * channels + first;
#pragma omp simd
                for (std::int64_t c = 0; c < count; ++c) sum[c] += load(from + c) * share;
            }
        }
#pragma omp simd
        for (std::int64_t c = 0; c < count; ++c) store(dx + first + c, sum[c]);
    });
}

template <typename T>
class AdaptivePoolPlan final : public LoopPlan {
  public:
    explicit AdaptivePoolPlan(const device::PlanRequest& request)
        : x_(request.descriptor.inputs[0].shape),
          y_(request.descriptor.outputs[0].shape),
          global_(x_.batch(), x_.height() * x_.width(), x_.channels()) {
        for (std::int64_t p = 0; p < y_.height(); ++p) {
            rows_.push_back(formulas::bin_range(p, x_.height(), y_.height()));
            row_sizes_.push_back(rows_.back().end - rows_.back().begin);
        }
        for (std::int64_t q = 0; q < y_.width(); ++q) {
            columns_.push_back(formulas::bin_range(q, x_.width(), y_.width()));
            column_sizes_.push_back(columns_.back().end - columns_.back().begin);
        }
        if (is_global()) {
            MemoryLayout scratch(nullptr);
            GlobalScratch{scratch, global_};
            requirements_.forward_workspace = scratch.used();
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        const T* const x = arguments.inputs[0].as<T>();
        T* const y = arguments.outputs[0].as<T>();
        if (is_global()) {
            MemoryLayout workspace(arguments.workspace);
            const GlobalScratch scratch(workspace, global_);
            NormPasses<T>::moments(global_, x, scratch.blocks, scratch.mean, scratch.squares);
            for (std::int64_t i = 0; i < y_.elements(); ++i)
                store(y + i, static_cast<float>(scratch.mean[i]));
            return;
        }
        const std::int64_t channels = x_.channels();
        const std::int64_t chunks = (channels + widest - 1) / widest;
        const std::int64_t bins = y_.height() * y_.width();
        parallel_blocks(y_.batch() * bins * chunks, bytes(), [&](std::int64_t task) {
            const std::int64_t first = task % chunks * widest;
            const std::int64_t bin = task / chunks % bins;
            const std::int64_t sample = task / chunks / bins;
            const formulas::Range rows = rows_[static_cast<std::size_t>(bin / y_.width())];
            const formulas::Range columns = columns_[static_cast<std::size_t>(bin % y_.width())];
            const T* const from = x + sample * x_.height() * x_.width() * channels + first;
            T* const to = y + (sample * bins + bin) * channels + first;
            vectorised([&] {
                average_bin(from, to, rows.begin, rows.end, columns.begin, columns.end, x_.width(), channels,
                            channels - first < widest ? channels - first : widest);
            });
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        T* const dx = optional<T>(arguments.input_gradients[0].view);
        if (!dx) return;
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        const std::int64_t height = x_.height(), width = x_.width(), channels = x_.channels();
        const std::int64_t map = y_.height() * y_.width() * channels;
        parallel_range(x_.batch() * height, bytes(), 1, [&](std::int64_t begin, std::int64_t end) {
            vectorised([&] {
                for (std::int64_t at = begin; at < end; ++at) {
                    const auto rows = formulas::bins_holding(at % height, height, y_.height());
                    for (std::int64_t j = 0; j < width; ++j) {
                        spread_pixel(dy + at / height * map, dx + (at * width + j) * channels, rows,
                                     formulas::bins_holding(j, width, y_.width()), row_sizes_.data(),
                                     column_sizes_.data(), y_.width(), channels);
                    }
                }
            });
        });
    }

  private:
    struct GlobalScratch {
        GlobalScratch(MemoryLayout& layout, const NormGeometry& geometry)
            : mean(layout.take<double>(geometry.segments * geometry.channels)),
              squares(layout.take<double>(geometry.segments * geometry.channels)),
              blocks(layout.take<double>(geometry.scratch())) {}

        double *mean, *squares, *blocks;
    };

    /// One bin: the mean of each sample's channels, which the normalisation passes already take in parallel.
    bool is_global() const { return y_.height() == 1 && y_.width() == 1; }
    std::int64_t bytes() const {
        return (x_.elements() + y_.elements()) * static_cast<std::int64_t>(sizeof(T));
    }

    Shape x_, y_;
    NormGeometry global_;
    std::vector<formulas::Range> rows_, columns_;
    std::vector<std::int64_t> row_sizes_, column_sizes_;
};

}  // namespace

Offer make_adaptive_pool(const device::PlanRequest& request) {
    return offer_by_type<AdaptivePoolPlan>(request);
}

}  // namespace terrane::cpu

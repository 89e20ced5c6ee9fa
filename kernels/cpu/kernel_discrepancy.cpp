#include <algorithm>

#include "cpu/element.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "formulas/discrepancy_draw.hpp"

namespace terrane::cpu {
namespace {

using ops::KernelDiscrepancy;

/// Points as columns: number c of point j at [c * pitch + j]; beyond the last point lie copies of it with
/// count 0.
struct Points {
    const float* columns;
    const float* counts;
    std::int64_t pitch;  ///< a multiple of `lanes`
};

/// What one point x feels from all others.
struct Felt {
    double value = 0;  ///< sum of count * k
    double pull = 0;   ///< sum of count * w
};

/// Kernel values and pulls of `lanes` points at once, times their counts.
template <KernelDiscrepancy::Measure measure>
TERRANE_INLINE void feel_lanes(const float* x, const Points& points, std::int64_t first, std::int64_t classes,
                               const formulas::DiscrepancyKernel<float>& kernel, float* value, float* pull) {
    float r2[lanes];
#pragma omp simd
    for (std::int64_t j = 0; j < lanes; ++j) r2[j] = 0;
    for (std::int64_t c = 0; c < classes; ++c) {
        const float* const column = points.columns + c * points.pitch + first;
        const float own = x[c];
#pragma omp simd
        for (std::int64_t j = 0; j < lanes; ++j) {
            const float difference = own - column[j];
            r2[j] += difference * difference;
        }
    }
    if constexpr (measure == KernelDiscrepancy::Measure::gauss) {
#pragma omp simd
        for (std::int64_t j = 0; j < lanes; ++j) {
            const float k = 1.0f / __builtin_sqrtf(1.0f + r2[j] * kernel.inverse_square);
            const float count = points.counts[first + j];
            value[j] = k * count;
            pull[j] = k * k * k * kernel.inverse_square * count;
        }
    } else {
        for (std::int64_t j = 0; j < lanes; ++j) {
            const auto found = formulas::kernel_value(kernel, r2[j]);
            value[j] = found.value * points.counts[first + j];
            pull[j] = found.pull * points.counts[first + j];
        }
    }
}

constexpr std::int64_t most_classes = 256;

/// Sums over all points; moment[c] += sum of count * w * point_c.
template <KernelDiscrepancy::Measure measure>
TERRANE_INLINE Felt feel(const float* x, const Points& points, std::int64_t classes,
                         const formulas::DiscrepancyKernel<float>& kernel, double* moment) {
    constexpr std::int64_t run = 8 * lanes;  // points whose terms are added in fp32
    Felt felt;
    for (std::int64_t begin = 0; begin < points.pitch; begin += run) {
        const std::int64_t end = begin + run < points.pitch ? begin + run : points.pitch;
        float values[lanes], pulls[lanes];
        float moments[most_classes];
#pragma omp simd
        for (std::int64_t j = 0; j < lanes; ++j) values[j] = pulls[j] = 0;
        for (std::int64_t c = 0; c < classes; ++c) moments[c] = 0;
        for (std::int64_t first = begin; first < end; first += lanes) {
            float value[lanes], pull[lanes];
            feel_lanes<measure>(x, points, first, classes, kernel, value, pull);
#pragma omp simd
            for (std::int64_t j = 0; j < lanes; ++j) {
                values[j] += value[j];
                pulls[j] += pull[j];
            }
            if (moment == nullptr) continue;
            for (std::int64_t c = 0; c < classes; ++c) {
                const float* const column = points.columns + c * points.pitch + first;
                float part[lanes];
#pragma omp simd
                for (std::int64_t j = 0; j < lanes; ++j) part[j] = pull[j] * column[j];
                moments[c] += folded(part);
            }
        }
        felt.value += static_cast<double>(folded(values));
        felt.pull += static_cast<double>(folded(pulls));
        for (std::int64_t c = 0; c < classes && moment != nullptr; ++c)
            moment[c] += static_cast<double>(moments[c]);
    }
    return felt;
}

/// Value and gradient in one pass over the pairs; backward only scatters.
template <typename T>
class KernelDiscrepancyPlan final : public LoopPlan {
  public:
    explicit KernelDiscrepancyPlan(const device::PlanRequest& request)
        : op_(std::get<KernelDiscrepancy>(request.descriptor.op)),
          shape_(request.descriptor.inputs[0].shape),
          list_(op_, shape_),
          trains_(wants_any_gradient(request)) {
        vectors_.reserve(static_cast<std::size_t>(list_.targets * (list_.classes + 1)));
        MemoryLayout scratch(nullptr), saved(nullptr);
        Scratch{scratch, *this};
        Saved{saved, *this};
        requirements_.forward_workspace = scratch.used();
        requirements_.forward_exchange = list_.global() ? list_.size() : 0;
        requirements_.saved = trains_ ? saved.used() : 0;
    }

    void forward(const device::ForwardArguments& arguments) override {
        MemoryLayout workspace(arguments.workspace);
        const Scratch scratch(workspace, *this);
        double* const list = list_.global() ? arguments.exchange : scratch.list;
        double total = 0;
        for (std::int64_t group = 0; group < list_.groups; ++group) {
            const std::int64_t first = group * list_.own_pixels * list_.classes;
            if (arguments.phase != device::Phase::after_exchange) {
                const T* const shares = arguments.inputs[0].as<T>() + first;
                const float* const truths = arguments.inputs[1].as<float>() + first;
                list_.gather(
                    *arguments.step, group,
                    [&](std::int64_t i) { return static_cast<double>(load(shares + i)); },
                    [&](std::int64_t i) { return static_cast<double>(truths[i]); },
                    arguments.inputs[2].as<float>(), list, scratch.pixel);
            }
            if (arguments.phase != device::Phase::before_exchange)
                total += finish(arguments, group, list, scratch);
        }
        if (arguments.phase == device::Phase::before_exchange) return;
        auto* const output = arguments.outputs[0].as<double>();
        output[0] = total;
        output[1] = 0;
    }

    void backward(const device::BackwardArguments& arguments) override {
        T* const dp = optional<T>(arguments.input_gradients[0].view);
        if (!dp) return;
        MemoryLayout memory(arguments.saved);
        const Saved saved(memory, *this);
        std::fill_n(reinterpret_cast<std::byte*>(dp), static_cast<std::size_t>(shape_.elements()) * sizeof(T),
                    std::byte{0});
        for (std::int64_t i = 0; i < list_.groups * list_.slots; ++i) {
            if (saved.pixels[i] < 0) continue;
            const auto scale = static_cast<float>(op_.loss_weight * saved.weights[i / list_.slots]);
            for (std::int64_t c = 0; c < list_.classes; ++c) {
                store(dp + saved.pixels[i] * list_.classes + c,
                      scale * saved.gradients[i * list_.classes + c]);
            }
        }
    }

  private:
    struct Saved {
        Saved(MemoryLayout& layout, const KernelDiscrepancyPlan& plan)
            : weights(layout.take<double>(plan.list_.groups)),
              pixels(layout.take<std::int64_t>(plan.list_.groups * plan.list_.slots)),
              gradients(layout.take<float>(plan.list_.groups * plan.list_.slots * plan.list_.classes)) {}
        double* weights;       ///< per group
        std::int64_t* pixels;  ///< per point of X: the own pixel, -1 for another rank's
        float* gradients;
    };
    struct Scratch {
        Scratch(MemoryLayout& layout, const KernelDiscrepancyPlan& plan)
            : pixel(layout.take<double>(plan.list_.classes)),
              list(layout.take<double>(plan.list_.global() ? 0 : plan.list_.size())),
              x(layout.take<float>(pitch(plan.list_.slots) * (plan.list_.classes + 1))),
              y(layout.take<float>(pitch(plan.list_.targets) * (plan.list_.classes + 1))),
              slots(layout.take<std::int64_t>(plan.list_.slots)),
              values(layout.take<double>(std::max(plan.list_.slots, plan.list_.targets))) {}
        double *pixel, *list;
        float *x, *y;         ///< as Points, the counts last
        std::int64_t* slots;  ///< per point of X: its own pixel or -1
        double* values;       ///< per point: its part of T
    };
    static std::int64_t pitch(std::int64_t points) { return (points + lanes - 1) / lanes * lanes; }

    /// Fills columns from entries of K numbers and a count; returns the points and the sum of the counts.
    struct Filled {
        Points points;
        std::int64_t count = 0;
        double total = 0;
    };
    template <typename Entry>
    Filled fill(std::int64_t entries, float* memory, const Entry& entry) const {
        std::int64_t used = 0;
        for (std::int64_t i = 0; i < entries; ++i) used += entry(i)[list_.classes] != 0;
        Filled filled{{memory, memory + pitch(used) * list_.classes, pitch(used)}, used, 0};
        float* const counts = memory + pitch(used) * list_.classes;
        std::int64_t at = 0;
        const double* last = nullptr;
        for (std::int64_t i = 0; i < entries; ++i) {
            const double* const values = entry(i);
            if (values[list_.classes] == 0) continue;
            write(memory, filled.points.pitch, at, values);
            counts[at++] = static_cast<float>(values[list_.classes]);
            filled.total += values[list_.classes];
            last = values;
        }
        for (; at < filled.points.pitch; ++at) {
            write(memory, filled.points.pitch, at, last);
            counts[at] = 0;
        }
        return filled;
    }
    void write(float* memory, std::int64_t stride, std::int64_t at, const double* values) const {
        for (std::int64_t c = 0; c < list_.classes; ++c)
            memory[c * stride + at] = static_cast<float>(values[c]);
    }

    /// T * W of a group.
    double finish(const device::ForwardArguments& arguments, std::int64_t group, double* list,
                  const Scratch& scratch) {
        const std::int64_t classes = list_.classes;
        MemoryLayout memory(arguments.saved);
        const Saved saved(memory, *this);
        std::int64_t* const pixels = saved.pixels + group * list_.slots;
        float* const gradients = saved.gradients + group * list_.slots * classes;
        if (trains_) {
            saved.weights[group] = list[0];
            std::fill_n(pixels, list_.slots, std::int64_t{-1});
        }
        list_.collect_targets(list, scratch.pixel, vectors_);
        const auto targets = static_cast<std::int64_t>(vectors_.size()) / (classes + 1);
        const Filled x = fill(list_.slots, scratch.x, [&](std::int64_t i) { return list_.share(list, i); });
        const Filled y = fill(targets, scratch.y, [&](std::int64_t i) {
            return &vectors_[static_cast<std::size_t>(i * (classes + 1))];
        });
        const double pairs_x = formulas::pair_count(op_.estimator, x.total);
        const double pairs_y = formulas::pair_count(op_.estimator, y.total);
        if (!(pairs_x > 0) || !(pairs_y > 0)) return 0;

        const formulas::DiscrepancyList::Draw draw(list_, *arguments.step, group, 0);
        std::int64_t at = 0;
        for (std::int64_t slot = 0; slot < list_.slots; ++slot) {
            if (list_.share(list, slot)[classes] == 0) continue;
            scratch.slots[at++] = draw(slot);
        }
        const bool unbiased = op_.estimator == KernelDiscrepancy::Estimator::unbiased;
        const double self = unbiased ? 1 : 0;  // k(x, x) = 1, left out of the U-statistic
        const auto kernel = formulas::discrepancy_kernel<float>(op_, classes);
        const double cross = x.total * y.total;
        parallel_blocks(x.count, x.count * (x.points.pitch + y.points.pitch) * classes, [&](std::int64_t i) {
            scratch.values[i] = 0;
            if (scratch.slots[i] < 0) return;
            float own[most_classes];
            double near[most_classes] = {}, far[most_classes] = {};
            for (std::int64_t c = 0; c < classes; ++c) own[c] = x.points.columns[c * x.points.pitch + i];
            const Felt others = feel_all(own, x.points, kernel, near);
            const Felt truths = feel_all(own, y.points, kernel, far);
            scratch.values[i] = (others.value - self) / pairs_x - 2 * truths.value / cross;
            if (!trains_) return;
            pixels[i] = group * list_.own_pixels + scratch.slots[i];
            for (std::int64_t c = 0; c < classes; ++c) {
                const double place = static_cast<double>(own[c]);
                gradients[i * classes + c] =
                    static_cast<float>(-2 / pairs_x * (others.pull * place - near[c]) +
                                       2 / cross * (truths.pull * place - far[c]));
            }
        });
        double total = 0;
        for (std::int64_t i = 0; i < x.count; ++i) total += scratch.values[i];
        if (!list_.global() || arguments.step->first_sample == arguments.step->pass_first) {
            parallel_blocks(y.count, y.count * y.points.pitch * classes, [&](std::int64_t i) {
                float own[most_classes];
                for (std::int64_t c = 0; c < classes; ++c) own[c] = y.points.columns[c * y.points.pitch + i];
                const double count = static_cast<double>(y.points.counts[i]);
                scratch.values[i] = count * (feel_all(own, y.points, kernel, nullptr).value - self) / pairs_y;
            });
            for (std::int64_t i = 0; i < y.count; ++i) total += scratch.values[i];
        }
        return total * list[0];
    }

    Felt feel_all(const float* own, const Points& points, const formulas::DiscrepancyKernel<float>& kernel,
                  double* moment) const {
        Felt felt;
        vectorised([&] {
            felt = kernel.measure == KernelDiscrepancy::Measure::gauss
                       ? feel<KernelDiscrepancy::Measure::gauss>(own, points, list_.classes, kernel, moment)
                       : feel<KernelDiscrepancy::Measure::sphere>(own, points, list_.classes, kernel, moment);
        });
        return felt;
    }

    KernelDiscrepancy op_;
    Shape shape_;
    formulas::DiscrepancyList list_;
    bool trains_;
    std::vector<double> vectors_;
};

}  // namespace

Offer make_kernel_discrepancy(const device::PlanRequest& request) {
    return offer_by_type<KernelDiscrepancyPlan>(request);
}

}  // namespace terrane::cpu

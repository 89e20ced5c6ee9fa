#include "cpu/class_rows.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/row_loss_plan.hpp"
#include "formulas/class_loss.hpp"

namespace terrane::cpu {

/// Loss of one row, and with `slopes` its derivative by the upsampled logits.
template <RowGradient slopes>
struct FocalRow {
    const std::uint8_t* labels;
    const float* class_weights;
    float gamma;
    float loss_weight;
    double* totals;  ///< per block {losses, weights}

    static FocalRow make(const ops::Focal& op, const device::ForwardArguments& arguments, std::int64_t,
                         double* totals) {
        return {arguments.inputs[1].as<std::uint8_t>(), arguments.inputs[2].as<float>(),
                static_cast<float>(op.gamma), static_cast<float>(op.loss_weight), totals};
    }

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::uint8_t* const label = labels + (row.sample * height + row.y) * row.width;
        float* const log_p = row.scratch(2);
        float* const weight = row.scratch(3);
        float* const pull = row.scratch(4);
        const std::int64_t width = row.width, classes = row.classes;
        for (std::int64_t x = 0; x < width; ++x) {
            const bool valid = formulas::is_valid_label(label[x], classes);
            log_p[x] = valid ? row.plane(label[x])[x] : row.planes[x];
            weight[x] = valid ? class_weights[label[x]] : 0.0f;
        }
        exponentiate(row);
        const float* const maximum = row.scratch(0);
        float* const total = row.scratch(1);
#pragma omp simd
        for (std::int64_t x = 0; x < width; ++x) {
            log_p[x] = (log_p[x] - maximum[x]) - logarithm(total[x]);
            const float p = exponential(log_p[x]);
            const float rest = formulas::focal_rest(p);
            const auto pixel =
                formulas::focal_pixel(log_p[x], p, rest, exponential(gamma * logarithm(rest)), gamma);
            log_p[x] = weight[x] * pixel.loss;
            pull[x] = loss_weight * weight[x] * pixel.pull;
        }
        if (row.owned) {
            totals[2 * row.block] +=
                static_cast<double>(lane_sum(width, [&](std::int64_t x) { return log_p[x]; }));
            totals[2 * row.block + 1] +=
                static_cast<double>(lane_sum(width, [&](std::int64_t x) { return weight[x]; }));
        }
        if constexpr (slopes == RowGradient::yes) {
#pragma omp simd
            for (std::int64_t x = 0; x < width; ++x) total[x] = pull[x] / total[x];
            for (std::int64_t c = 0; c < classes; ++c) {
                float* const plane = row.plane(c);
#pragma omp simd
                for (std::int64_t x = 0; x < width; ++x) plane[x] *= total[x];
            }
            for (std::int64_t x = 0; x < width; ++x) {
                if (formulas::is_valid_label(label[x], classes)) row.plane(label[x])[x] -= pull[x];
            }
        }
    }
};

namespace {

template <typename T>
using FocalPlan = RowLossPlan<ops::Focal, FocalRow, T>;

}  // namespace

Offer make_focal(const device::PlanRequest& request) {
    return offer_by_type<FocalPlan>(request);
}

}  // namespace terrane::cpu

#include "cpu/class_rows.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/row_loss_plan.hpp"
#include "formulas/class_loss.hpp"

namespace terrane::cpu {

/// Loss of one row, and with `slopes` its derivative by the upsampled logits. The maths of
/// formulas/class_loss.hpp, ordered so that it runs along the row.
template <RowGradient slopes>
struct CrossEntropyRow {
    const std::uint8_t* labels;
    const float* class_weights;
    formulas::CrossEntropyTerms<float> terms;
    float loss_weight;
    double* totals;  ///< per block {losses, weights}

    static CrossEntropyRow make(const ops::CrossEntropy& op, const device::ForwardArguments& arguments,
                                std::int64_t classes, double* totals) {
        const float* const weights = arguments.inputs[2].as<float>();
        double sum = 0;
        for (std::int64_t c = 0; c < classes; ++c) sum += static_cast<double>(weights[c]);
        return {arguments.inputs[1].as<std::uint8_t>(), weights,
                formulas::cross_entropy_terms<float>(op.label_smoothing, sum, classes),
                static_cast<float>(op.loss_weight), totals};
    }

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::uint8_t* const label = labels + (row.sample * height + row.y) * row.width;
        float* const target = row.scratch(2);
        float* const weight = row.scratch(3);
        float* const smooth = row.scratch(4);
        const std::int64_t width = row.width, classes = row.classes;
        const bool smoothing = terms.class_share > 0;
        for (std::int64_t x = 0; x < width; ++x) {
            const bool valid = formulas::is_valid_label(label[x], classes);
            target[x] = valid ? row.plane(label[x])[x] : 0.0f;
            weight[x] = valid ? class_weights[label[x]] : 0.0f;
        }
        if (smoothing) {
            for (std::int64_t x = 0; x < width; ++x) smooth[x] = 0;
            for (std::int64_t c = 0; c < classes; ++c) {
                const float share = class_weights[c];
                const float* const plane = row.plane(c);
#pragma omp simd
                for (std::int64_t x = 0; x < width; ++x) smooth[x] += share * plane[x];
            }
        }
        exponentiate(row);
        const float* const maximum = row.scratch(0);
        float* const total = row.scratch(1);
        const float target_share = terms.target_share, class_share = terms.class_share;
        const float weight_sum = terms.weight_sum;
        if (row.owned) {
            const float loss = lane_sum(width, [&](std::int64_t x) {
                const float log_sum = logarithm(total[x]);
                // Pixels that don't count have weight 0 but finite terms.
                return target_share * weight[x] * (log_sum + (maximum[x] - target[x]));
            });
            float smooth_loss = 0;
            if (smoothing) {
                smooth_loss = class_share * lane_sum(width, [&](std::int64_t x) {
                                  const float all =
                                      weight_sum * (logarithm(total[x]) + maximum[x]) - smooth[x];
                                  return formulas::is_valid_label(label[x], classes) ? all : 0.0f;
                              });
            }
            totals[2 * row.block] += static_cast<double>(loss) + static_cast<double>(smooth_loss);
            totals[2 * row.block + 1] +=
                static_cast<double>(lane_sum(width, [&](std::int64_t x) { return weight[x]; }));
        }
        if constexpr (slopes == RowGradient::yes) {
            float* const valid = row.scratch(4);
#pragma omp simd
            for (std::int64_t x = 0; x < width; ++x) {
                valid[x] = formulas::is_valid_label(label[x], classes) ? loss_weight * class_share : 0.0f;
            }
#pragma omp simd
            for (std::int64_t x = 0; x < width; ++x) {
                weight[x] *= loss_weight * target_share;
                total[x] = (weight[x] + valid[x] * weight_sum) / total[x];
            }
            for (std::int64_t c = 0; c < classes; ++c) {
                float* const plane = row.plane(c);
                const float share = class_weights[c];
#pragma omp simd
                for (std::int64_t x = 0; x < width; ++x) {
                    plane[x] = plane[x] * total[x] - valid[x] * share;
                }
            }
            for (std::int64_t x = 0; x < width; ++x) {
                if (formulas::is_valid_label(label[x], classes)) row.plane(label[x])[x] -= weight[x];
            }
        }
    }
};

namespace {

template <typename T>
using CrossEntropyPlan = RowLossPlan<ops::CrossEntropy, CrossEntropyRow, T>;

}  // namespace

Offer make_cross_entropy(const device::PlanRequest& request) {
    return offer_by_type<CrossEntropyPlan>(request);
}

}  // namespace terrane::cpu

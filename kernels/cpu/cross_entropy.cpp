#include <algorithm>
#include <cstring>

#include "cpu/class_rows.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/plan_support.hpp"
#include "formulas/class_loss.hpp"

namespace terrane::cpu {
namespace {

/// Loss of one row, and with `slopes` its derivative by the upsampled logits. The maths of
/// formulas/class_loss.hpp, ordered so that it runs along the row.
template <RowGradient slopes>
struct CrossEntropyRow {
    const std::uint8_t* labels;
    const float* class_weights;
    formulas::CrossEntropyTerms<float> terms;
    float loss_weight;
    double* totals;  ///< per block {losses, weights}

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

/// Forward computes the gradients of the logits along with the loss and keeps them: the softmax is taken once
/// per step, and backward is a copy.
template <typename T>
class CrossEntropyPlan final : public LoopPlan {
  public:
    explicit CrossEntropyPlan(const device::PlanRequest& request)
        : op_(std::get<ops::CrossEntropy>(request.descriptor.op)),
          gradient_(wants_gradient(request, 0) ? RowGradient::yes : RowGradient::no),
          rows_(request.descriptor.inputs[0].shape, request.descriptor.inputs[1].shape[1],
                request.descriptor.inputs[1].shape[2], op_.corners, gradient_) {
        MemoryLayout workspace(nullptr);
        workspace.take<double>(2 * rows_.blocks());
        workspace.take<float>(rows_.scratch());
        requirements_.forward_workspace = workspace.used();
        if (gradient_ == RowGradient::yes) requirements_.saved = request.descriptor.inputs[0].bytes();
    }

    void forward(const device::ForwardArguments& arguments) override {
        MemoryLayout workspace(arguments.workspace);
        double* const totals = workspace.take<double>(2 * rows_.blocks());
        float* const scratch = workspace.take<float>(rows_.scratch());
        std::fill_n(totals, 2 * rows_.blocks(), 0.0);
        if (gradient_ == RowGradient::yes) {
            const auto row = make_row<RowGradient::yes>(arguments, totals);
            rows_.visit_with_gradient(arguments.inputs[0].as<T>(), reinterpret_cast<T*>(arguments.saved),
                                      scratch, [&](const ClassRow& one) { row(one, rows_.height()); });
        } else {
            const auto row = make_row<RowGradient::no>(arguments, totals);
            rows_.visit(arguments.inputs[0].as<T>(), scratch,
                        [&](const ClassRow& one) { row(one, rows_.height()); });
        }
        double* const output = arguments.outputs[0].as<double>();
        output[0] = output[1] = 0;
        for (std::int64_t block = 0; block < rows_.blocks(); ++block) {
            output[0] += totals[2 * block];
            output[1] += totals[2 * block + 1];
        }
        output[1] = own_denominator(op_, arguments.inputs[1], output[1]);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& target = arguments.input_gradients[0].view;
        if (target) std::memcpy(target.data, arguments.saved, target.bytes());
    }

  private:
    template <RowGradient slopes>
    CrossEntropyRow<slopes> make_row(const device::ForwardArguments& arguments, double* totals) const {
        const float* const weights = arguments.inputs[2].as<float>();
        double sum = 0;
        for (std::int64_t c = 0; c < rows_.classes(); ++c) sum += static_cast<double>(weights[c]);
        return {arguments.inputs[1].as<std::uint8_t>(), weights,
                formulas::cross_entropy_terms<float>(op_.label_smoothing, sum, rows_.classes()),
                static_cast<float>(op_.loss_weight), totals};
    }

    ops::CrossEntropy op_;
    RowGradient gradient_;
    ClassRows rows_;
};

}  // namespace

Offer make_cross_entropy(const device::PlanRequest& request) {
    return offer_by_type<CrossEntropyPlan>(request);
}

}  // namespace terrane::cpu

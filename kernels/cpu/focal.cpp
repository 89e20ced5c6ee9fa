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

/// Loss of one row, and with `slopes` its derivative by the upsampled logits.
template <RowGradient slopes>
struct FocalRow {
    const std::uint8_t* labels;
    const float* class_weights;
    float gamma;
    float loss_weight;
    double* totals;  ///< per block {losses, weights}

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

/// As with cross-entropy, forward computes the gradients along with the loss and keeps them.
template <typename T>
class FocalPlan final : public LoopPlan {
  public:
    explicit FocalPlan(const device::PlanRequest& request)
        : op_(std::get<ops::Focal>(request.descriptor.op)),
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
    FocalRow<slopes> make_row(const device::ForwardArguments& arguments, double* totals) const {
        return {arguments.inputs[1].as<std::uint8_t>(), arguments.inputs[2].as<float>(),
                static_cast<float>(op_.gamma), static_cast<float>(op_.loss_weight), totals};
    }

    ops::Focal op_;
    RowGradient gradient_;
    ClassRows rows_;
};

}  // namespace

Offer make_focal(const device::PlanRequest& request) {
    return offer_by_type<FocalPlan>(request);
}

}  // namespace terrane::cpu

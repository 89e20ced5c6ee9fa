#include <algorithm>

#include "cpu/class_rows.hpp"
#include "cpu/lanes.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/plan_support.hpp"
#include "formulas/class_loss.hpp"

namespace terrane::cpu {
namespace {

/// 1 where the label counts, else 0.
TERRANE_INLINE void mark_valid(const std::uint8_t* label, float* valid, std::int64_t width,
                               std::int64_t classes) {
#pragma omp simd
    for (std::int64_t x = 0; x < width; ++x) {
        valid[x] = formulas::is_valid_label(label[x], classes) ? 1.0f : 0.0f;
    }
}

/// Adds one row to the block's sums, laid out as the exchange: intersections, probabilities, labels, weight.
struct DiceSums {
    const std::uint8_t* labels;
    const float* class_weights;
    double* sums;  ///< per block 3 * classes + 1

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::uint8_t* const label = labels + (row.sample * height + row.y) * row.width;
        float* const valid = row.scratch(2);
        mark_valid(label, valid, row.width, row.classes);
        soften(row);
        double* const mine = sums + row.block * (3 * row.classes + 1);
        for (std::int64_t c = 0; c < row.classes; ++c) {
            const float* const plane = row.plane(c);
            mine[row.classes + c] +=
                static_cast<double>(lane_sum(row.width, [&](std::int64_t x) { return valid[x] * plane[x]; }));
        }
        for (std::int64_t x = 0; x < row.width; ++x) {
            const std::int64_t c = label[x];
            if (!formulas::is_valid_label(label[x], row.classes)) continue;
            mine[c] += static_cast<double>(row.plane(c)[x]);
            mine[2 * row.classes + c] += 1;
            mine[3 * row.classes] += static_cast<double>(class_weights[c]);
        }
    }
};

struct DiceSlopes {
    const std::uint8_t* labels;
    const float* constant;
    const float* on_target;

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::uint8_t* const label = labels + (row.sample * height + row.y) * row.width;
        float* const valid = row.scratch(2);
        float* const mean = row.scratch(3);
        float* const target = row.scratch(4);
        mark_valid(label, valid, row.width, row.classes);
        soften(row);
        for (std::int64_t x = 0; x < row.width; ++x) {
            const bool counts = formulas::is_valid_label(label[x], row.classes);
            target[x] = counts ? row.plane(label[x])[x] * on_target[label[x]] : 0.0f;
            mean[x] = target[x];
        }
        for (std::int64_t c = 0; c < row.classes; ++c) {
            const float* const plane = row.plane(c);
            const float slope = constant[c];
#pragma omp simd
            for (std::int64_t x = 0; x < row.width; ++x) mean[x] += plane[x] * slope;
        }
        for (std::int64_t c = 0; c < row.classes; ++c) {
            float* const plane = row.plane(c);
            const float slope = constant[c];
#pragma omp simd
            for (std::int64_t x = 0; x < row.width; ++x) {
                plane[x] = valid[x] * formulas::softmax_slope(plane[x], slope, mean[x]);
            }
        }
        for (std::int64_t x = 0; x < row.width; ++x) {
            if (formulas::is_valid_label(label[x], row.classes)) row.plane(label[x])[x] += target[x];
        }
    }
};

template <typename T>
class DicePlan final : public LoopPlan {
  public:
    explicit DicePlan(const device::PlanRequest& request)
        : op_(std::get<ops::Dice>(request.descriptor.op)),
          keeps_(wants_gradient(request, 0)),
          rows_(request.descriptor.inputs[0].shape, request.descriptor.inputs[1].shape[1],
                request.descriptor.inputs[1].shape[2], op_.corners,
                keeps_ ? RowGradient::yes : RowGradient::no),
          classes_(rows_.classes()) {
        MemoryLayout forward(nullptr), backward(nullptr), saved(nullptr);
        forward.take<double>(rows_.blocks() * block_sums());
        forward.take<float>(rows_.scratch());
        backward.take<float>(rows_.scratch());
        saved.take<float>(2 * classes_);
        requirements_.forward_workspace = forward.used();
        requirements_.backward_workspace = keeps_ ? backward.used() : 0;
        requirements_.saved = keeps_ ? saved.used() : 0;
        requirements_.forward_exchange = 3 * classes_ + 2;
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (arguments.phase != device::Phase::after_exchange) send_sums(arguments);
        if (arguments.phase != device::Phase::before_exchange) finish(arguments);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& target = arguments.input_gradients[0].view;
        if (!target) return;
        const float* const slopes = reinterpret_cast<const float*>(arguments.saved);
        const DiceSlopes row{arguments.inputs[1].as<std::uint8_t>(), slopes, slopes + classes_};
        rows_.visit_with_gradient(arguments.inputs[0].as<T>(), target.as<T>(),
                                  reinterpret_cast<float*>(arguments.workspace),
                                  [&](const ClassRow& one) { row(one, rows_.height()); });
    }

  private:
    std::int64_t block_sums() const { return 3 * classes_ + 1; }

    void send_sums(const device::ForwardArguments& arguments) const {
        MemoryLayout workspace(arguments.workspace);
        double* const sums = workspace.take<double>(rows_.blocks() * block_sums());
        float* const scratch = workspace.take<float>(rows_.scratch());
        std::fill_n(sums, rows_.blocks() * block_sums(), 0.0);
        const DiceSums row{arguments.inputs[1].as<std::uint8_t>(), arguments.inputs[2].as<float>(), sums};
        rows_.visit(arguments.inputs[0].as<T>(), scratch,
                    [&](const ClassRow& one) { row(one, rows_.height()); });
        std::fill_n(arguments.exchange, block_sums(), 0.0);
        for (std::int64_t block = 0; block < rows_.blocks(); ++block) {
            for (std::int64_t i = 0; i < block_sums(); ++i) {
                arguments.exchange[i] += sums[block * block_sums() + i];
            }
        }
        if (op_.denominator == ops::Denominator::all) {
            arguments.exchange[3 * classes_] = static_cast<double>(arguments.inputs[1].elements());
        }
        arguments.exchange[block_sums()] = 1;  // counts the ranks
    }

    void finish(const device::ForwardArguments& arguments) const {
        const double* const intersection = arguments.exchange;
        const double* const probability = intersection + classes_;
        const double* const truth = probability + classes_;
        const double weight = arguments.exchange[3 * classes_];
        const double ranks = arguments.exchange[3 * classes_ + 1];
        double present = 0, dice = 0;
        for (std::int64_t c = 0; c < classes_; ++c) {
            if (!(truth[c] > 0)) continue;
            present += 1;
            dice += formulas::dice_of(intersection[c], probability[c], truth[c], op_.smooth);
        }
        double* const output = arguments.outputs[0].as<double>();
        output[0] = present > 0 ? (1 - dice / present) * weight / ranks : 0.0;
        output[1] = 0;
        if (!keeps_) return;
        auto* const slopes = reinterpret_cast<float*>(arguments.saved);
        for (std::int64_t c = 0; c < classes_; ++c) {
            const formulas::DiceSlope slope = formulas::dice_slope(
                intersection[c], probability[c], truth[c], op_.smooth, present, op_.loss_weight * weight);
            slopes[c] = static_cast<float>(slope.constant);
            slopes[classes_ + c] = static_cast<float>(slope.on_target);
        }
    }

    ops::Dice op_;
    bool keeps_;
    ClassRows rows_;
    std::int64_t classes_;
};

}  // namespace

Offer make_dice(const device::PlanRequest& request) {
    return offer_by_type<DicePlan>(request);
}

}  // namespace terrane::cpu

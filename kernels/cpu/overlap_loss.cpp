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

/// Adds one row to the block's sums: intersections, probabilities, labels.
struct OverlapSums {
    const std::uint8_t* labels;
    double* sums;  ///< per block 3 * classes

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::uint8_t* const label = labels + (row.sample * height + row.y) * row.width;
        float* const valid = row.scratch(2);
        mark_valid(label, valid, row.width, row.classes);
        soften(row);
        double* const mine = sums + row.block * 3 * row.classes;
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
        }
    }
};

struct OverlapSlopes {
    const std::uint8_t* labels;
    const float* slopes;      ///< per score: constants, then those on target
    std::int64_t per_sample;  ///< distance between the scores of two samples: 0 if they share one

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::uint8_t* const label = labels + (row.sample * height + row.y) * row.width;
        float* const valid = row.scratch(2);
        float* const mean = row.scratch(3);
        float* const target = row.scratch(4);
        const float* const constant = slopes + row.sample * per_sample;
        const float* const on_target = constant + row.classes;
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

/// Dice and Tversky. Exchange over the batch: per class the intersection, the sum of probabilities and the
/// number of labels, then the sum of weights and the number of ranks. Over images: the sum of weights and the
/// number of images.
template <typename T, typename Op>
class OverlapPlan final : public LoopPlan {
  public:
    explicit OverlapPlan(const device::PlanRequest& request)
        : op_(std::get<Op>(request.descriptor.op)),
          score_(formulas::overlap_score(op_)),
          by_image_(op_.over == ops::ScoreOver::image),
          keeps_(wants_gradient(request, 0)),
          label_pixels_(request.descriptor.inputs[1].shape.elements()),
          rows_(request.descriptor.inputs[0].shape, request.descriptor.inputs[1].shape[1],
                request.descriptor.inputs[1].shape[2], op_.corners,
                keeps_ ? RowGradient::yes : RowGradient::no),
          classes_(rows_.classes()),
          groups_(by_image_ ? request.descriptor.inputs[0].shape.batch() : 1) {
        MemoryLayout workspace(nullptr);
        Workspace{workspace, *this};
        requirements_.forward_workspace = workspace.used();
        requirements_.forward_exchange = by_image_ ? 2 : 3 * classes_ + 2;
        if (keeps_) {
            requirements_.saved = static_cast<std::size_t>(groups_ * 2 * classes_) * sizeof(float);
            requirements_.backward_workspace = static_cast<std::size_t>(rows_.scratch()) * sizeof(float);
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        TERRANE_ASSERT(arguments.phase != device::Phase::whole, "{} exchanges its sums", Op::name);
        MemoryLayout memory(arguments.workspace);
        const Workspace workspace(memory, *this);
        double* const output = arguments.outputs[0].as<double>();
        double* const tail = arguments.exchange + (by_image_ ? 0 : 3 * classes_);
        if (arguments.phase == device::Phase::before_exchange) {
            if (!by_image_) {
                add_up(arguments, workspace);
                std::copy_n(workspace.sums, 3 * classes_, arguments.exchange);
            }
            output[1] = own_denominator(
                op_, arguments.inputs[1],
                own_weight(arguments.inputs[1].as<std::uint8_t>(), arguments.inputs[2].as<float>()));
            tail[0] = output[1];
            tail[1] = by_image_ ? static_cast<double>(groups_) : 1;
            return;
        }
        if (by_image_) add_up(arguments, workspace);
        output[0] = 0;
        for (std::int64_t group = 0; group < groups_; ++group) {
            const double* const sums = by_image_ ? workspace.sums + group * 3 * classes_ : arguments.exchange;
            float* const slopes =
                keeps_ ? reinterpret_cast<float*>(arguments.saved) + group * 2 * classes_ : nullptr;
            output[0] += finish(sums, tail[0], tail[1], slopes);
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& target = arguments.input_gradients[0].view;
        if (!target) return;
        const OverlapSlopes row{arguments.inputs[1].as<std::uint8_t>(),
                                reinterpret_cast<const float*>(arguments.saved),
                                by_image_ ? 2 * classes_ : 0};
        rows_.visit_with_gradient(arguments.inputs[0].as<T>(), target.as<T>(),
                                  reinterpret_cast<float*>(arguments.workspace),
                                  [&](const ClassRow& one) { row(one, rows_.height()); });
    }

  private:
    struct Workspace {
        double* block_sums;  ///< per block 3 * classes
        double* sums;        ///< per score 3 * classes
        float* scratch;

        Workspace(MemoryLayout& memory, const OverlapPlan& plan)
            : block_sums(memory.take<double>(plan.rows_.blocks() * 3 * plan.classes_)),
              sums(memory.take<double>(plan.groups_ * 3 * plan.classes_)),
              scratch(memory.take<float>(plan.rows_.scratch())) {}
    };

    double own_weight(const std::uint8_t* labels, const float* weights) const {
        double weight = 0;
        for (std::int64_t i = 0; i < label_pixels_; ++i) {
            if (formulas::is_valid_label(labels[i], classes_))
                weight += static_cast<double>(weights[labels[i]]);
        }
        return weight;
    }

    void add_up(const device::ForwardArguments& arguments, const Workspace& workspace) const {
        const std::int64_t width = 3 * classes_;
        std::fill_n(workspace.block_sums, rows_.blocks() * width, 0.0);
        const OverlapSums row{arguments.inputs[1].as<std::uint8_t>(), workspace.block_sums};
        rows_.visit(arguments.inputs[0].as<T>(), workspace.scratch,
                    [&](const ClassRow& one) { row(one, rows_.height()); });
        const std::int64_t blocks = rows_.blocks() / groups_;  // every image has equally many
        for (std::int64_t group = 0; group < groups_; ++group) {
            add_blocks(workspace.block_sums + group * blocks * width, blocks, width,
                       workspace.sums + group * width);
        }
    }

    /// This score's part of W times the loss; leaves its slopes.
    double finish(const double* sums, double weight, double parts, float* slopes) const {
        const double* const truth = sums + 2 * classes_;
        double counted = 0, loss = 0;
        for (std::int64_t c = 0; c < classes_; ++c) counted += by_image_ || truth[c] > 0 ? 1 : 0;
        if (slopes != nullptr) std::fill_n(slopes, 2 * classes_, 0.0f);
        for (std::int64_t c = 0; c < classes_; ++c) {
            if (!by_image_ && !(truth[c] > 0)) continue;
            const auto one = formulas::overlap_loss(sums[c], sums[classes_ + c], truth[c], score_);
            loss += one.loss / counted;
            if (slopes == nullptr) continue;
            // The batch's loss is the same on every rank, each adding its own pixels' part of the gradient.
            const double factor = op_.loss_weight * weight / (counted * (by_image_ ? parts : 1));
            slopes[c] = static_cast<float>(factor * one.constant);
            slopes[classes_ + c] = static_cast<float>(factor * one.on_target);
        }
        return loss * weight / parts;
    }

    Op op_;
    formulas::OverlapScore score_;
    bool by_image_;
    bool keeps_;
    std::int64_t label_pixels_;
    ClassRows rows_;
    std::int64_t classes_;
    std::int64_t groups_;  ///< scores: images, or 1
};

template <typename T>
using DicePlan = OverlapPlan<T, ops::Dice>;
template <typename T>
using TverskyPlan = OverlapPlan<T, ops::Tversky>;

}  // namespace

Offer make_dice(const device::PlanRequest& request) {
    return offer_by_type<DicePlan>(request);
}
Offer make_tversky(const device::PlanRequest& request) {
    return offer_by_type<TverskyPlan>(request);
}

}  // namespace terrane::cpu

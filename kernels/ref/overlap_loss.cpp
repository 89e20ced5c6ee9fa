#include "ref/class_loss.hpp"

namespace terrane::ref {

namespace {

/// Dice and Tversky. Exchange over the batch: per class the intersection, the sum of probabilities and the
/// number of labels, then the sum of weights and the number of ranks. Over images: the sum of weights and the
/// number of images.
template <typename T, typename Op>
class OverlapPlan final : public ClassLossPlan<T, Op> {
    using Base = ClassLossPlan<T, Op>;
    using Base::classes_;
    using Base::op_;

  public:
    OverlapPlan(const Op& op, const device::PlanRequest& request)
        : Base(op, request),
          by_image_(op.over == ops::ScoreOver::image),
          groups_(by_image_ ? this->logits_.batch() : 1) {
        this->requirements_.forward_exchange = by_image_ ? 2 : 3 * classes_ + 2;
        this->requirements_.forward_workspace = bytes_of_doubles(classes_ + groups_ * 3 * classes_);
        this->requirements_.backward_workspace = bytes_of_doubles(2 * classes_);
        if (this->trains()) this->requirements_.saved = bytes_of_doubles(groups_ * 2 * classes_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        TERRANE_ASSERT(arguments.phase != device::Phase::whole, "{} exchanges its sums", Op::name);
        double* logits = doubles(arguments.workspace);
        double* sums = logits + classes_;
        double* output = arguments.outputs[0].as<double>();
        double* tail = arguments.exchange + (by_image_ ? 0 : 3 * classes_);
        if (arguments.phase == device::Phase::before_exchange) {
            if (!by_image_) add_up(arguments, logits, arguments.exchange);
            output[1] = own_weight(arguments);
            tail[0] = output[1];
            tail[1] = by_image_ ? static_cast<double>(groups_) : 1;
            return;
        }
        if (by_image_) add_up(arguments, logits, sums);
        output[0] = 0;
        for (std::int64_t group = 0; group < groups_; ++group) {
            const double* mine = by_image_ ? sums + group * 3 * classes_ : arguments.exchange;
            output[0] += finish(mine, tail[0], tail[1],
                                this->trains() ? doubles(arguments.saved) + group * 2 * classes_ : nullptr);
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        struct Prepared {
            SoftmaxSlopes slopes;
            const double *constant, *on_target;
        };
        this->gather(
            arguments,
            [&](const double* logits, std::int64_t label, std::int64_t place) {
                const std::int64_t group = by_image_ ? place / (this->height_ * this->width_) : 0;
                const double* constant = doubles(arguments.saved) + group * 2 * classes_;
                const double* on_target = constant + classes_;
                return Prepared{SoftmaxSlopes(logits, classes_,
                                              [&](std::int64_t c) {
                                                  return constant[c] + (c == label ? on_target[c] : 0.0);
                                              }),
                                constant, on_target};
            },
            [&](const Prepared& prepared, double logit, std::int64_t label, std::int64_t c) {
                return prepared.slopes.by_logit(
                    logit, prepared.constant[c] + (c == label ? prepared.on_target[c] : 0.0));
            });
    }

  private:
    double own_weight(const device::ForwardArguments& arguments) const {
        const AnyReader weights(arguments.inputs[2]);
        double weight = 0;
        this->for_each_valid(arguments.inputs[1], [&](std::int64_t, std::int64_t, std::int64_t,
                                                      std::int64_t label) { weight += weights[label]; });
        return this->own_denominator(arguments.inputs[1], weight);
    }

    /// Per group and class: intersection, sum of probabilities, number of labels.
    void add_up(const device::ForwardArguments& arguments, double* logits, double* sums) const {
        std::fill(sums, sums + groups_ * 3 * classes_, 0.0);
        const Upsampled<T> upsampled = this->upsampled(arguments.inputs[0]);
        this->for_each_valid(arguments.inputs[1],
                             [&](std::int64_t n, std::int64_t row, std::int64_t column, std::int64_t label) {
                                 double* mine = sums + (by_image_ ? n : 0) * 3 * classes_;
                                 upsampled.values(n, row, column, logits);
                                 const auto normaliser = formulas::softmax_normaliser(logits, classes_);
                                 for (std::int64_t c = 0; c < classes_; ++c) {
                                     mine[classes_ + c] += normaliser.probability(logits[c]);
                                 }
                                 mine[label] += normaliser.probability(logits[label]);
                                 mine[2 * classes_ + label] += 1;
                             });
    }

    /// This group's part of W times the loss; leaves its slopes.
    double finish(const double* sums, double weight, double parts, double* slopes) const {
        const double* truth = sums + 2 * classes_;
        double counted = 0, loss = 0;
        for (std::int64_t c = 0; c < classes_; ++c) counted += by_image_ || truth[c] > 0 ? 1 : 0;
        for (std::int64_t c = 0; c < classes_; ++c) {
            formulas::OverlapLoss one;
            if (by_image_ || truth[c] > 0) {
                one = formulas::overlap_loss(sums[c], sums[classes_ + c], truth[c],
                                             formulas::overlap_score(op_));
            }
            loss += counted > 0 ? one.loss / counted : 0;
            if (slopes == nullptr) continue;
            // The batch's loss is the same on every rank, each adding its own pixels' part of the gradient.
            const double factor =
                counted > 0 ? op_.loss_weight * weight / (counted * (by_image_ ? parts : 1)) : 0;
            slopes[c] = factor * one.constant;
            slopes[classes_ + c] = factor * one.on_target;
        }
        return loss * weight / parts;
    }

    bool by_image_;
    std::int64_t groups_;  ///< scores: images, or 1
};

template <typename T>
using DicePlan = OverlapPlan<T, ops::Dice>;
template <typename T>
using TverskyPlan = OverlapPlan<T, ops::Tversky>;

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Dice& op, const device::PlanRequest& request) {
    return make_typed<DicePlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Tversky& op, const device::PlanRequest& request) {
    return make_typed<TverskyPlan>(op, request);
}

}  // namespace terrane::ref

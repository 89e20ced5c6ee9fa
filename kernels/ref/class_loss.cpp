#include "formulas/class_loss.hpp"
#include "ref/plan.hpp"
#include "ref/upsampled.hpp"

namespace terrane::ref {

namespace {

/// The label maps of both losses, and how a gradient by the upsampled logits becomes one by the logits.
template <typename T, typename Op>
class ClassLossPlan : public RefPlan<Op> {
  public:
    ClassLossPlan(const Op& op, const device::PlanRequest& request)
        : RefPlan<Op>(op, request),
          logits_(this->input_shape(0)),
          height_(this->input_shape(1)[1]),
          width_(this->input_shape(1)[2]),
          classes_(logits_.channels()) {
        this->requirements_.gradient_terms = 1;
    }

  protected:
    Upsampled<T> upsampled(const TensorView& logits) const {
        return Upsampled<T>(logits, height_, width_, this->op_.corners);
    }

    /// Calls visit(n, row, column, label) for every valid pixel.
    template <typename Visit>
    void for_each_valid(const TensorView& labels, Visit visit) const {
        const auto* values = labels.as<std::uint8_t>();
        for (std::int64_t i = 0; i < labels.elements(); ++i) {
            if (!formulas::is_valid_label(values[i], classes_)) continue;
            visit(i / (height_ * width_), i / width_ % height_, i % width_, std::int64_t{values[i]});
        }
    }

    /// For every source pixel adds up slope(upsampled logits, label, c) times the weight of each target that
    /// reads it. `workspace` holds 2 K doubles.
    template <typename Prepare, typename Slope>
    void gather(const device::BackwardArguments& arguments, Prepare prepare, Slope slope) const {
        const GradientWriter target(arguments.input_gradients[0]);
        const Upsampled<T> logits = upsampled(arguments.inputs[0]);
        const auto* labels = arguments.inputs[1].template as<std::uint8_t>();
        double* pixel_logits = doubles(arguments.workspace);
        double* sums = pixel_logits + classes_;
        for (std::int64_t pixel = 0; pixel < logits_.pixels(); ++pixel) {
            const std::int64_t n = pixel / (logits_.height() * logits_.width());
            std::fill(sums, sums + classes_, 0.0);
            for_each_target(logits_, height_, width_, this->op_.corners,
                            pixel / logits_.width() % logits_.height(), pixel % logits_.width(),
                            [&](std::int64_t row, std::int64_t column, double weight) {
                                const std::int64_t label = labels[(n * height_ + row) * width_ + column];
                                if (!formulas::is_valid_label(static_cast<int>(label), classes_)) return;
                                logits.values(n, row, column, pixel_logits);
                                const auto prepared = prepare(pixel_logits, label);
                                for (std::int64_t c = 0; c < classes_; ++c) {
                                    sums[c] += weight * slope(prepared, pixel_logits[c], label, c);
                                }
                            });
            for (std::int64_t c = 0; c < classes_; ++c) target.store(pixel * classes_ + c, sums[c]);
        }
    }

    Shape logits_;
    std::int64_t height_, width_, classes_;
};

template <typename T>
class CrossEntropyPlan final : public ClassLossPlan<T, ops::CrossEntropy> {
    using Base = ClassLossPlan<T, ops::CrossEntropy>;
    using Base::classes_;
    using Base::op_;

  public:
    CrossEntropyPlan(const ops::CrossEntropy& op, const device::PlanRequest& request) : Base(op, request) {
        this->requirements_.forward_workspace = bytes_of_doubles(2 * classes_);
        this->requirements_.backward_workspace = bytes_of_doubles(3 * classes_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        double* logits = doubles(arguments.workspace);
        double* weights = logits + classes_;
        const auto terms = read_weights(arguments.inputs[2], weights);
        const Upsampled<T> upsampled = this->upsampled(arguments.inputs[0]);
        double loss = 0, weight = 0;
        this->for_each_valid(arguments.inputs[1], [&](std::int64_t n, std::int64_t row, std::int64_t column,
                                                      std::int64_t label) {
            upsampled.values(n, row, column, logits);
            const auto normaliser = formulas::softmax_normaliser(logits, classes_);
            loss += formulas::cross_entropy_loss(logits, classes_, label, weights, terms, normaliser);
            weight += weights[label];
        });
        double* output = arguments.outputs[0].as<double>();
        output[0] = loss;
        output[1] = op_.denominator == ops::Denominator::all
                        ? static_cast<double>(arguments.inputs[1].elements())
                        : weight;
    }

    void backward(const device::BackwardArguments& arguments) override {
        double* weights = doubles(arguments.workspace) + 2 * classes_;
        const auto terms = read_weights(arguments.inputs[2], weights);
        this->gather(
            arguments,
            [&](const double* logits, std::int64_t) {
                return formulas::softmax_normaliser(logits, classes_);
            },
            [&](const auto& normaliser, double logit, std::int64_t label, std::int64_t c) {
                return op_.loss_weight *
                       formulas::cross_entropy_slope(logit, c, label, weights, terms, normaliser);
            });
    }

  private:
    formulas::CrossEntropyTerms<double> read_weights(const TensorView& view, double* weights) const {
        double sum = 0;
        for (std::int64_t c = 0; c < classes_; ++c) sum += weights[c] = AnyReader(view)[c];
        return formulas::cross_entropy_terms<double>(op_.label_smoothing, sum, classes_);
    }
};

/// Exchange: per class the intersection, the sum of probabilities and the number of labels; then the sum of
/// weights and the number of ranks.
template <typename T>
class DicePlan final : public ClassLossPlan<T, ops::Dice> {
    using Base = ClassLossPlan<T, ops::Dice>;
    using Base::classes_;
    using Base::op_;

  public:
    DicePlan(const ops::Dice& op, const device::PlanRequest& request) : Base(op, request) {
        this->requirements_.forward_exchange = 3 * classes_ + 2;
        this->requirements_.forward_workspace = bytes_of_doubles(classes_);
        this->requirements_.backward_workspace = bytes_of_doubles(2 * classes_);
        if (this->trains()) this->requirements_.saved = bytes_of_doubles(2 * classes_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        TERRANE_ASSERT(arguments.phase != device::Phase::whole, "Dice exchanges its sums");
        if (arguments.phase == device::Phase::before_exchange) {
            write_sums(arguments);
        } else {
            finish(arguments);
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const double* constant = doubles(arguments.saved);
        const double* on_target = constant + classes_;
        struct Prepared {
            formulas::SoftmaxNormaliser<double> normaliser;
            double mean_slope = 0;
        };
        const auto slope_by_probability = [&](std::int64_t c, std::int64_t label) {
            return constant[c] + (c == label ? on_target[c] : 0.0);
        };
        this->gather(
            arguments,
            [&](const double* logits, std::int64_t label) {
                Prepared prepared{formulas::softmax_normaliser(logits, classes_)};
                for (std::int64_t c = 0; c < classes_; ++c) {
                    prepared.mean_slope +=
                        prepared.normaliser.probability(logits[c]) * slope_by_probability(c, label);
                }
                return prepared;
            },
            [&](const Prepared& prepared, double logit, std::int64_t label, std::int64_t c) {
                return formulas::softmax_slope(prepared.normaliser.probability(logit),
                                               slope_by_probability(c, label), prepared.mean_slope);
            });
    }

  private:
    void write_sums(const device::ForwardArguments& arguments) const {
        double* intersection = arguments.exchange;
        double* probability_sum = intersection + classes_;
        double* truth_sum = probability_sum + classes_;
        std::fill(arguments.exchange, arguments.exchange + 3 * classes_ + 2, 0.0);
        arguments.exchange[3 * classes_ + 1] = 1;
        double* logits = doubles(arguments.workspace);
        const Upsampled<T> upsampled = this->upsampled(arguments.inputs[0]);
        this->for_each_valid(arguments.inputs[1],
                             [&](std::int64_t n, std::int64_t row, std::int64_t column, std::int64_t label) {
                                 upsampled.values(n, row, column, logits);
                                 const auto normaliser = formulas::softmax_normaliser(logits, classes_);
                                 for (std::int64_t c = 0; c < classes_; ++c) {
                                     probability_sum[c] += normaliser.probability(logits[c]);
                                 }
                                 intersection[label] += normaliser.probability(logits[label]);
                                 truth_sum[label] += 1;
                                 arguments.exchange[3 * classes_] += AnyReader(arguments.inputs[2])[label];
                             });
        if (op_.denominator == ops::Denominator::all) {
            arguments.exchange[3 * classes_] = static_cast<double>(arguments.inputs[1].elements());
        }
    }

    void finish(const device::ForwardArguments& arguments) const {
        const double* intersection = arguments.exchange;
        const double* probability_sum = intersection + classes_;
        const double* truth_sum = probability_sum + classes_;
        const double weight = arguments.exchange[3 * classes_];
        const double ranks = arguments.exchange[3 * classes_ + 1];
        double present = 0, dice = 0;
        for (std::int64_t c = 0; c < classes_; ++c) {
            if (!(truth_sum[c] > 0)) continue;
            present += 1;
            dice += formulas::dice_of(intersection[c], probability_sum[c], truth_sum[c], op_.smooth);
        }
        double* output = arguments.outputs[0].as<double>();
        output[0] = present > 0 ? (1 - dice / present) * weight / ranks : 0.0;
        output[1] = 0;
        if (this->requirements_.saved == 0) return;
        double* constant = doubles(arguments.saved);
        for (std::int64_t c = 0; c < classes_; ++c) {
            const auto slope = formulas::dice_slope(intersection[c], probability_sum[c], truth_sum[c],
                                                    op_.smooth, present, op_.loss_weight * weight);
            constant[c] = slope.constant;
            constant[classes_ + c] = slope.on_target;
        }
    }
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::CrossEntropy& op, const device::PlanRequest& request) {
    return make_typed<CrossEntropyPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Dice& op, const device::PlanRequest& request) {
    return make_typed<DicePlan>(op, request);
}

}  // namespace terrane::ref

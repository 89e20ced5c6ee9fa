#include "ref/class_loss.hpp"

/// The losses that are sums over pixels.
namespace terrane::ref {

namespace {

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
        output[1] = this->own_denominator(arguments.inputs[1], weight);
    }

    void backward(const device::BackwardArguments& arguments) override {
        double* weights = doubles(arguments.workspace) + 2 * classes_;
        const auto terms = read_weights(arguments.inputs[2], weights);
        this->gather(
            arguments,
            [&](const double* logits, std::int64_t, std::int64_t) {
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

template <typename T>
class FocalPlan final : public ClassLossPlan<T, ops::Focal> {
    using Base = ClassLossPlan<T, ops::Focal>;
    using Base::classes_;
    using Base::op_;

  public:
    FocalPlan(const ops::Focal& op, const device::PlanRequest& request) : Base(op, request) {
        this->requirements_.forward_workspace = bytes_of_doubles(classes_);
        this->requirements_.backward_workspace = bytes_of_doubles(2 * classes_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        double* logits = doubles(arguments.workspace);
        const AnyReader weights(arguments.inputs[2]);
        const Upsampled<T> upsampled = this->upsampled(arguments.inputs[0]);
        double loss = 0, weight = 0;
        this->for_each_valid(arguments.inputs[1],
                             [&](std::int64_t n, std::int64_t row, std::int64_t column, std::int64_t label) {
                                 upsampled.values(n, row, column, logits);
                                 const auto normaliser = formulas::softmax_normaliser(logits, classes_);
                                 loss += weights[label] * pixel(normaliser, logits[label]).loss;
                                 weight += weights[label];
                             });
        double* output = arguments.outputs[0].as<double>();
        output[0] = loss;
        output[1] = this->own_denominator(arguments.inputs[1], weight);
    }

    void backward(const device::BackwardArguments& arguments) override {
        struct Prepared {
            formulas::SoftmaxNormaliser<double> normaliser;
            double pull;
        };
        const AnyReader weights(arguments.inputs[2]);
        this->gather(
            arguments,
            [&](const double* logits, std::int64_t label, std::int64_t) {
                const auto normaliser = formulas::softmax_normaliser(logits, classes_);
                return Prepared{normaliser,
                                op_.loss_weight * weights[label] * pixel(normaliser, logits[label]).pull};
            },
            [&](const Prepared& prepared, double logit, std::int64_t label, std::int64_t c) {
                return prepared.pull * (prepared.normaliser.probability(logit) - (c == label ? 1 : 0));
            });
    }

  private:
    formulas::FocalPixel<double> pixel(const formulas::SoftmaxNormaliser<double>& normaliser,
                                       double logit) const {
        const double p = normaliser.probability(logit);
        const double rest = formulas::focal_rest(p);
        return formulas::focal_pixel(normaliser.log_probability(logit), p, rest, std::pow(rest, op_.gamma),
                                     op_.gamma);
    }
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::CrossEntropy& op, const device::PlanRequest& request) {
    return make_typed<CrossEntropyPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Focal& op, const device::PlanRequest& request) {
    return make_typed<FocalPlan>(op, request);
}

}  // namespace terrane::ref

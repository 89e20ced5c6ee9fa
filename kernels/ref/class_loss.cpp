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
        this->reserve_share();
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (this->takes_share(arguments)) return;
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
        this->put_totals(arguments, loss, weight);
    }

    void backward(const device::BackwardArguments& arguments) override {
        double* weights = doubles(arguments.workspace) + 2 * classes_;
        const auto terms = read_weights(arguments.inputs[2], weights);
        const double factor = this->gradient_factor(arguments);
        this->gather(
            arguments,
            [&](const double* logits, std::int64_t, std::int64_t) {
                return formulas::softmax_normaliser(logits, classes_);
            },
            [&](const auto& normaliser, double logit, std::int64_t label, std::int64_t c) {
                return factor * formulas::cross_entropy_slope(logit, c, label, weights, terms, normaliser);
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
        this->reserve_share();
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (this->takes_share(arguments)) return;
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
        this->put_totals(arguments, loss, weight);
    }

    void backward(const device::BackwardArguments& arguments) override {
        struct Prepared {
            formulas::SoftmaxNormaliser<double> normaliser;
            double pull;
        };
        const AnyReader weights(arguments.inputs[2]);
        const double factor = this->gradient_factor(arguments);
        this->gather(
            arguments,
            [&](const double* logits, std::int64_t label, std::int64_t) {
                const auto normaliser = formulas::softmax_normaliser(logits, classes_);
                return Prepared{normaliser, factor * weights[label] * pixel(normaliser, logits[label]).pull};
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

template <typename T>
class DistanceEntropyPlan final : public ClassLossPlan<T, ops::DistanceEntropy> {
    using Base = ClassLossPlan<T, ops::DistanceEntropy>;
    using Base::classes_;

  public:
    DistanceEntropyPlan(const ops::DistanceEntropy& op, const device::PlanRequest& request)
        : Base(op, request) {
        this->requirements_.forward_workspace = bytes_of_doubles(classes_);
        this->requirements_.backward_workspace = bytes_of_doubles(2 * classes_);
        this->reserve_share();
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (this->takes_share(arguments)) return;
        double* logits = doubles(arguments.workspace);
        const auto* distances = arguments.inputs[1].template as<std::uint8_t>();
        const Upsampled<T> upsampled = this->upsampled(arguments.inputs[0]);
        double loss = 0, pixels = 0;
        for (std::int64_t i = 0; i < arguments.inputs[1].elements(); ++i) {
            if (distances[i] == 0) continue;
            upsampled.values(i / (this->height_ * this->width_), i / this->width_ % this->height_,
                             i % this->width_, logits);
            const auto normaliser = formulas::softmax_normaliser(logits, classes_);
            loss += distances[i] / 255.0 * entropy(logits, normaliser);
            pixels += 1;
        }
        this->put_totals(arguments, loss, pixels);
    }

    void backward(const device::BackwardArguments& arguments) override {
        struct Prepared {
            formulas::SoftmaxNormaliser<double> normaliser;
            double entropy;
        };
        const double factor = this->gradient_factor(arguments);
        this->gather_where(
            arguments, [](std::int64_t distance) { return distance > 0; },
            [&](const double* logits, std::int64_t, std::int64_t) {
                const auto normaliser = formulas::softmax_normaliser(logits, classes_);
                return Prepared{normaliser, entropy(logits, normaliser)};
            },
            [&](const Prepared& prepared, double logit, std::int64_t distance, std::int64_t) {
                const double log_p = prepared.normaliser.log_probability(logit);
                return -factor * static_cast<double>(distance) / 255.0 * std::exp(log_p) *
                       (log_p + prepared.entropy);
            });
    }

  private:
    double entropy(const double* logits, const formulas::SoftmaxNormaliser<double>& normaliser) const {
        double sum = 0;
        for (std::int64_t c = 0; c < classes_; ++c) {
            sum -= normaliser.probability(logits[c]) * normaliser.log_probability(logits[c]);
        }
        return sum;
    }
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::CrossEntropy& op, const device::PlanRequest& request) {
    return make_typed<CrossEntropyPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::DistanceEntropy& op, const device::PlanRequest& request) {
    return make_typed<DistanceEntropyPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Focal& op, const device::PlanRequest& request) {
    return make_typed<FocalPlan>(op, request);
}

}  // namespace terrane::ref

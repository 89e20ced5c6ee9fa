#pragma once

#include <algorithm>

#include "formulas/class_loss.hpp"
#include "ref/plan.hpp"
#include "ref/upsampled.hpp"

namespace terrane::ref {

/// The label maps of the losses over classes, and how a gradient by the upsampled logits becomes one by the
/// logits.
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

    /// This rank's part of the denominator, see ops/class_loss.hpp; `weight`: that of the valid pixels.
    double own_denominator(const TensorView& labels, double weight) const {
        switch (this->op_.denominator) {
            case ops::Denominator::valid:
                return weight;
            case ops::Denominator::all:
                return static_cast<double>(labels.elements());
            case ops::Denominator::samples:
                return static_cast<double>(logits_.batch());
        }
        throw InternalError("unknown denominator");
    }

    // For losses that are sums over pixels: with Denominator::samples they exchange {weight, samples} and
    // keep what their sum is multiplied by.

    /// To be called when the plan's other requirements are known.
    void reserve_share() {
        if (this->op_.denominator != ops::Denominator::samples) return;
        this->requirements_.forward_exchange = 2;
        share_offset_ = this->requirements_.saved;
        if (this->trains()) this->requirements_.saved += bytes_of_doubles(1);
    }
    /// Ends the first part of the forward pass.
    void put_totals(const device::ForwardArguments& arguments, double loss, double weight) const {
        auto* output = arguments.outputs[0].as<double>();
        output[0] = loss;
        output[1] = own_denominator(arguments.inputs[1], weight);
        if (arguments.phase == device::Phase::whole) return;
        arguments.exchange[0] = weight;
        arguments.exchange[1] = output[1];
    }
    /// Whether this was the second part of the forward pass; then it is done.
    bool takes_share(const device::ForwardArguments& arguments) const {
        if (arguments.phase != device::Phase::after_exchange) return false;
        const double share = formulas::share_of_samples(arguments.exchange[0], arguments.exchange[1]);
        arguments.outputs[0].as<double>()[0] *= share;
        if (this->trains()) *doubles(arguments.saved + share_offset_) = share;
        return true;
    }
    /// What the gradient of the sum is multiplied by.
    double gradient_factor(const device::BackwardArguments& arguments) const {
        const bool shared = this->op_.denominator == ops::Denominator::samples;
        return this->op_.loss_weight * (shared ? *doubles(arguments.saved + share_offset_) : 1);
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

    /// For every source pixel adds up slope(prepared, logit, label, c) times the weight of each target that
    /// reads it, with prepared = prepare(upsampled logits, label, target's place in the label map).
    /// `workspace` holds 2 K doubles.
    template <typename Prepare, typename Slope>
    void gather(const device::BackwardArguments& arguments, Prepare prepare, Slope slope) const {
        gather_where(
            arguments,
            [&](std::int64_t label) { return formulas::is_valid_label(static_cast<int>(label), classes_); },
            prepare, slope);
    }

    /// Likewise over the pixels whose value in the map (label, distance) counts.
    template <typename Counts, typename Prepare, typename Slope>
    void gather_where(const device::BackwardArguments& arguments, Counts counts, Prepare prepare,
                      Slope slope) const {
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
                                const std::int64_t place = (n * height_ + row) * width_ + column;
                                const std::int64_t label = labels[place];
                                if (!counts(label)) return;
                                logits.values(n, row, column, pixel_logits);
                                const auto prepared = prepare(pixel_logits, label, place);
                                for (std::int64_t c = 0; c < classes_; ++c) {
                                    sums[c] += weight * slope(prepared, pixel_logits[c], label, c);
                                }
                            });
            for (std::int64_t c = 0; c < classes_; ++c) target.store(pixel * classes_ + c, sums[c]);
        }
    }

    Shape logits_;
    std::int64_t height_, width_, classes_;

  private:
    std::size_t share_offset_ = 0;
};

/// Slopes of a loss by the softmax of one pixel's logits, for ClassLossPlan::gather.
struct SoftmaxSlopes {
    formulas::SoftmaxNormaliser<double> normaliser;
    double mean = 0;  ///< of the slopes, weighted with the probabilities

    /// `slope_of(c)`: the derivative of the loss by p[c].
    template <typename SlopeOf>
    SoftmaxSlopes(const double* logits, std::int64_t classes, SlopeOf slope_of)
        : normaliser(formulas::softmax_normaliser(logits, classes)) {
        for (std::int64_t c = 0; c < classes; ++c) mean += normaliser.probability(logits[c]) * slope_of(c);
    }
    double by_logit(double logit, double slope) const {
        return formulas::softmax_slope(normaliser.probability(logit), slope, mean);
    }
};

}  // namespace terrane::ref

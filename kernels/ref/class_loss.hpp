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
        return this->op_.denominator == ops::Denominator::all ? static_cast<double>(labels.elements())
                                                              : weight;
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
                                if (!formulas::is_valid_label(static_cast<int>(label), classes_)) return;
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

#pragma once

#include "cuda/logit_gather.hpp"
#include "cuda/sums.hpp"

/// What the plans of the losses over class maps share.
namespace terrane::cuda {

/// This rank's part of the denominator, see ops/class_loss.hpp.
struct OwnDenominator {
    ops::Denominator kind;
    double pixels, samples;

    /// `weight`: that of the valid pixels.
    TERRANE_HOST_DEVICE double of(double weight) const {
        switch (kind) {
            case ops::Denominator::valid:
                return weight;
            case ops::Denominator::all:
                return pixels;
            case ops::Denominator::samples:
                return samples;
        }
        return 0;
    }
};

/// Where a loss that is a sum over pixels leaves what it found. With Denominator::samples it exchanges
/// {weight, samples}, and TakeShare ends its forward pass.
struct LossTotals {
    OwnDenominator denominator;
    double* output;
    double* exchange;  ///< null: nothing is exchanged

    TERRANE_HOST_DEVICE void put(double loss, double weight) const {
        output[0] = loss;
        output[1] = denominator.of(weight);
        if (exchange == nullptr) return;
        exchange[0] = weight;
        exchange[1] = output[1];
    }
};

/// From the own sum to what it adds to the mean of all ranks; the factor is kept for backward.
struct TakeShare {
    const double* exchange;
    double *output, *saved;  ///< saved: null in inference

    TERRANE_HOST_DEVICE void operator()(std::int64_t) const {
        const double share = formulas::share_of_samples(exchange[0], exchange[1]);
        output[0] *= share;
        if (saved != nullptr) *saved = share;
    }
};

/// What the plans of the losses over class maps share.
template <typename T, typename Op>
class ClassPlan : public KernelPlan<Op> {
  public:
    ClassPlan(const Op& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan<Op>(op, request, queue),
          maps_(this->input_shape(0), this->input_shape(1)[1], this->input_shape(1)[2], op.corners,
                std::is_same_v<Op, ops::DistanceEntropy> ? MapKind::distances : MapKind::labels),
          classes_(maps_.classes),
          pixels_(maps_.pixels()),
          sums_(1, pixels_) {
        this->requirements_.gradient_terms = 1;
        if (!this->trains()) return;
        gather_ = LogitGather(maps_.batch, classes_, maps_.rows, maps_.columns);
        this->requirements_.backward_workspace = gather_.workspace();
    }

  protected:
    ClassMaps<T> maps(std::span<const TensorView> inputs) const {
        ClassMaps<T> maps = maps_;
        maps.logits = inputs[0].as<T>();
        maps.labels = inputs[1].as<std::uint8_t>();
        return maps;
    }

    /// The gradient of the logits by the loss's slopes.
    template <typename Loss>
    void gather(const device::BackwardArguments& arguments, const Loss& loss) const {
        const double* share =
            shares_ ? reinterpret_cast<const double*>(arguments.saved + share_offset_) : nullptr;
        gather_.launch(this->queue_, maps(arguments.inputs), loss,
                       reinterpret_cast<float*>(arguments.workspace), share,
                       arguments.input_gradients[0].view.template as<T>());
    }

    OwnDenominator denominator() const {
        return {this->op_.denominator, static_cast<double>(pixels_), static_cast<double>(maps_.batch)};
    }

    // For losses that are sums over pixels.

    /// To be called when the plan's other requirements are known.
    void reserve_share() {
        shares_ = this->op_.denominator == ops::Denominator::samples;
        if (!shares_) return;
        this->requirements_.forward_exchange = 2;
        share_offset_ = device::aligned(this->requirements_.saved);
        if (this->trains()) this->requirements_.saved = share_offset_ + sizeof(double);
    }
    LossTotals totals(const device::ForwardArguments& arguments) const {
        return {denominator(), arguments.outputs[0].template as<double>(),
                shares_ ? arguments.exchange : nullptr};
    }
    /// Whether this was the second part of the forward pass; then it is done.
    bool takes_share(const device::ForwardArguments& arguments) const {
        if (arguments.phase != device::Phase::after_exchange) return false;
        auto* saved = this->trains() ? reinterpret_cast<double*>(arguments.saved + share_offset_) : nullptr;
        launch(this->queue_, 1,
               TakeShare{arguments.exchange, arguments.outputs[0].template as<double>(), saved});
        return true;
    }

    ClassMaps<T> maps_;
    std::int64_t classes_, pixels_;
    SumGeometry sums_;  ///< over all label pixels

  private:
    LogitGather gather_;
    bool shares_ = false;  ///< with Denominator::samples a sum is multiplied by what all ranks found
    std::size_t share_offset_ = 0;
};

/// A pixel's probability-weighted mean of a loss's slopes by the probabilities: what SoftmaxSlopes need.
template <typename SlopeOf>
TERRANE_HOST_DEVICE inline float mean_slope(const float* logits,
                                            const formulas::SoftmaxNormaliser<float>& normaliser,
                                            std::int64_t classes, SlopeOf slope_of) {
    float mean = 0;
    for (std::int64_t c = 0; c < classes; ++c) mean += normaliser.probability(logits[c]) * slope_of(c);
    return mean;
}

/// This rank's denominator from the valid pixels' class weights, for losses that exchange it.
struct WeightSum {
    static constexpr int sums = 1;
    const std::uint8_t* labels;
    const float* weights;
    std::int64_t classes;
    OwnDenominator denominator;
    double *first, *second;  ///< where it goes

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t place, double (&own)[1]) const {
        if (formulas::is_valid_label(labels[place], classes)) {
            own[0] += static_cast<double>(weights[labels[place]]);
        }
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[1]) const {
        *first = *second = denominator.of(total[0]);
    }
};

}  // namespace terrane::cuda

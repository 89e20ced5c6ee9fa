#pragma once

#include "cuda/plans.hpp"
#include "cuda/sums.hpp"
#include "formulas/bilinear.hpp"
#include "formulas/class_loss.hpp"

/// Logits read at the labels' resolution, and how a gradient there becomes one of the logits.
namespace terrane::cuda {

/// A thread keeps the logits of a pixel in its own memory.
inline constexpr std::int64_t most_classes = 256;

/// Where the logits of a label pixel are interpolated from.
struct PixelTaps {
    formulas::Tap<float> row, column;
    std::int64_t at00, at01, at10, at11;  ///< first elements of the four source pixels
};

/// What the bytes of a map mean: classes, or distances, of which 0 does not count.
enum class MapKind { labels, distances };

template <typename T>
struct ClassMaps {
    const T* logits;
    const std::uint8_t* labels;
    std::int64_t batch, in_height, in_width, classes, height, width;
    ops::Corners corners;
    MapKind kind = MapKind::labels;

    TERRANE_HOST_DEVICE std::int64_t pixels() const { return batch * height * width; }
    TERRANE_HOST_DEVICE std::int64_t label(std::int64_t place) const { return labels[place]; }
    TERRANE_HOST_DEVICE bool is_valid(std::int64_t place) const {
        if (kind == MapKind::distances) return labels[place] > 0;
        return formulas::is_valid_label(labels[place], classes);
    }

    TERRANE_HOST_DEVICE PixelTaps taps(std::int64_t place) const {
        const std::int64_t n = place / (height * width);
        PixelTaps taps;
        taps.row = formulas::tap<float>(place / width % height, in_height, height, corners);
        taps.column = formulas::tap<float>(place % width, in_width, width, corners);
        const std::int64_t upper = (n * in_height + taps.row.index0) * in_width;
        const std::int64_t lower = (n * in_height + taps.row.index1) * in_width;
        taps.at00 = (upper + taps.column.index0) * classes;
        taps.at01 = (upper + taps.column.index1) * classes;
        taps.at10 = (lower + taps.column.index0) * classes;
        taps.at11 = (lower + taps.column.index1) * classes;
        return taps;
    }
    TERRANE_HOST_DEVICE float logit(const PixelTaps& taps, std::int64_t c) const {
        return formulas::bilinear(taps.row, taps.column, static_cast<float>(logits[taps.at00 + c]),
                                  static_cast<float>(logits[taps.at01 + c]),
                                  static_cast<float>(logits[taps.at10 + c]),
                                  static_cast<float>(logits[taps.at11 + c]));
    }
    TERRANE_HOST_DEVICE void read(std::int64_t place, float* values) const {
        const PixelTaps own = taps(place);
        values[0] = logit(own, 0);  // there is at least one class
        for (std::int64_t c = 1; c < classes; ++c) values[c] = logit(own, c);
    }
};

/// What is found out once per label pixel: its softmax, and one number of the loss's own.
struct PixelTerms {
    formulas::SoftmaxNormaliser<float> normaliser;
    float own = 0;
};

/// Loss: float prepare(const float* logits, const SoftmaxNormaliser<float>&, label, place) const.
template <typename T, typename Loss>
struct PreparePixel {
    ClassMaps<T> maps;
    Loss loss;
    PixelTerms* terms;

    TERRANE_HOST_DEVICE void operator()(std::int64_t place) const {
        if (!maps.is_valid(place)) return;
        float logits[most_classes];
        maps.read(place, logits);
        PixelTerms found;
        found.normaliser = formulas::softmax_normaliser(logits, maps.classes);
        found.own = loss.prepare(logits, found.normaliser, maps.label(place), place);
        terms[place] = found;
    }
};

/// The gradient by one logit: the slopes of all label pixels that read it, in row-major order.
/// Loss: float slope(const PixelTerms&, float logit, label, place, c) const.
template <typename T, typename Loss>
struct GatherLogit {
    ClassMaps<T> maps;
    Loss loss;
    const PixelTerms* terms;
    const double* share;  ///< what the slopes are multiplied by; null: 1
    T* gradient;

    TERRANE_HOST_DEVICE void operator()(std::int64_t item) const {
        const std::int64_t c = item % maps.classes, pixel = item / maps.classes;
        const std::int64_t source_column = pixel % maps.in_width,
                           source_row = pixel / maps.in_width % maps.in_height;
        const std::int64_t n = pixel / (maps.in_width * maps.in_height);
        const auto rows = formulas::targets_reading(source_row, maps.in_height, maps.height, maps.corners);
        const auto columns =
            formulas::targets_reading(source_column, maps.in_width, maps.width, maps.corners);
        float sum = 0;
        for (std::int64_t row = rows.begin; row < rows.end; ++row) {
            for (std::int64_t column = columns.begin; column < columns.end; ++column) {
                const std::int64_t place = (n * maps.height + row) * maps.width + column;
                if (!maps.is_valid(place)) continue;
                const PixelTaps taps = maps.taps(place);
                const float weight = formulas::reading_weight(taps.row, source_row) *
                                     formulas::reading_weight(taps.column, source_column);
                sum += weight * loss.slope(terms[place], maps.logit(taps, c), maps.label(place), place, c);
            }
        }
        gradient[item] = T(share == nullptr ? sum : static_cast<float>(static_cast<double>(sum) * *share));
    }
};

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

/// What the plans of the losses over class maps share. Workspaces begin with the pixels' terms.
template <typename T, typename Op>
class ClassPlan : public KernelPlan<Op> {
  public:
    ClassPlan(const Op& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan<Op>(op, request, queue),
          maps_{nullptr,
                nullptr,
                this->input_shape(0).batch(),
                this->input_shape(0).height(),
                this->input_shape(0).width(),
                this->input_shape(0).channels(),
                this->input_shape(1)[1],
                this->input_shape(1)[2],
                op.corners,
                std::is_same_v<Op, ops::DistanceEntropy> ? MapKind::distances : MapKind::labels},
          classes_(maps_.classes),
          pixels_(maps_.pixels()),
          sums_(1, pixels_) {
        this->requirements_.gradient_terms = 1;
        if (this->trains()) this->requirements_.backward_workspace = carved<PixelTerms>(pixels_);
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
        auto* terms = reinterpret_cast<PixelTerms*>(arguments.workspace);
        const ClassMaps<T> own = maps(arguments.inputs);
        launch(this->queue_, pixels_, PreparePixel<T, Loss>{own, loss, terms});
        const double* share =
            shares_ ? reinterpret_cast<const double*>(arguments.saved + share_offset_) : nullptr;
        launch(this->queue_, this->input_shape(0).elements(),
               GatherLogit<T, Loss>{own, loss, terms, share,
                                    arguments.input_gradients[0].view.template as<T>()});
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

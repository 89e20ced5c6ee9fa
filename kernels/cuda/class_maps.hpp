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

template <typename T>
struct ClassMaps {
    const T* logits;
    const std::uint8_t* labels;
    std::int64_t batch, in_height, in_width, classes, height, width;
    ops::Corners corners;

    TERRANE_HOST_DEVICE std::int64_t pixels() const { return batch * height * width; }
    TERRANE_HOST_DEVICE std::int64_t label(std::int64_t place) const { return labels[place]; }
    TERRANE_HOST_DEVICE bool is_valid(std::int64_t place) const {
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
        for (std::int64_t c = 0; c < classes; ++c) values[c] = logit(own, c);
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
        gradient[item] = T(sum);
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
                op.corners},
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
        launch(this->queue_, this->input_shape(0).elements(),
               GatherLogit<T, Loss>{own, loss, terms, arguments.input_gradients[0].view.template as<T>()});
    }

    /// This rank's part of the denominator is the number of its pixels, whatever their weights.
    bool counts_all() const { return this->op_.denominator == ops::Denominator::all; }

    ClassMaps<T> maps_;
    std::int64_t classes_, pixels_;
    SumGeometry sums_;  ///< over all label pixels
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

/// Sum over the valid pixels of their class weights (or the number of all pixels), for losses that exchange
/// it.
struct WeightSum {
    static constexpr int sums = 1;
    const std::uint8_t* labels;
    const float* weights;
    std::int64_t classes;
    bool counts_all;
    double *first, *second;  ///< where it goes

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t place, double (&own)[1]) const {
        if (counts_all) {
            own[0] += 1;
        } else if (formulas::is_valid_label(labels[place], classes)) {
            own[0] += static_cast<double>(weights[labels[place]]);
        }
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[1]) const {
        *first = *second = total[0];
    }
};

}  // namespace terrane::cuda

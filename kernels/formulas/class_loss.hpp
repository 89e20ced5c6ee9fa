#pragma once

#include <cmath>
#include <cstdint>

#include "formulas/host_device.hpp"
#include "ops/common.hpp"

/// Softmax, cross-entropy and Dice for one pixel. `logits` are its (already upsampled) K logits.
namespace terrane::formulas {

/// Whether a label takes part in losses and scores.
TERRANE_HOST_DEVICE inline bool is_valid_label(int label, std::int64_t classes) {
    return label != ops::ignore_label && label < classes;
}

/// log sum_c exp(logits[c]), in two parts: log p[c] = logits[c] - maximum - log_sum.
template <typename Real>
struct SoftmaxNormaliser {
    Real maximum = 0;
    Real log_sum = 0;

    TERRANE_HOST_DEVICE Real log_probability(Real logit) const { return (logit - maximum) - log_sum; }
    TERRANE_HOST_DEVICE Real probability(Real logit) const { return std::exp(log_probability(logit)); }
};

template <typename Real>
TERRANE_HOST_DEVICE inline SoftmaxNormaliser<Real> softmax_normaliser(const Real* logits,
                                                                      std::int64_t classes) {
    SoftmaxNormaliser<Real> result;
    result.maximum = logits[0];
    for (std::int64_t c = 1; c < classes; ++c) {
        if (logits[c] > result.maximum) result.maximum = logits[c];
    }
    Real sum = 0;
    for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(logits[c] - result.maximum);
    result.log_sum = std::log(sum);
    return result;
}

/// The lowest index of the largest logit.
template <typename Real>
TERRANE_HOST_DEVICE inline std::int64_t most_probable(const Real* logits, std::int64_t classes) {
    std::int64_t best = 0;
    for (std::int64_t c = 1; c < classes; ++c) {
        if (logits[c] > logits[best]) best = c;
    }
    return best;
}

/// What the smoothed cross-entropy (ops/cross_entropy.hpp) needs besides the pixel itself.
template <typename Real>
struct CrossEntropyTerms {
    Real target_share = 1;  ///< 1 - smoothing
    Real class_share = 0;   ///< smoothing / K
    Real weight_sum = 0;    ///< sum over the classes of class_weights
};

template <typename Real>
TERRANE_HOST_DEVICE inline CrossEntropyTerms<Real> cross_entropy_terms(double smoothing, double weight_sum,
                                                                       std::int64_t classes) {
    return {static_cast<Real>(1 - smoothing), static_cast<Real>(smoothing / static_cast<double>(classes)),
            static_cast<Real>(weight_sum)};
}

/// The loss of a pixel of class `target`.
template <typename Real, typename Weight>
TERRANE_HOST_DEVICE inline Real cross_entropy_loss(const Real* logits, std::int64_t classes,
                                                   std::int64_t target, const Weight* class_weights,
                                                   const CrossEntropyTerms<Real>& terms,
                                                   const SoftmaxNormaliser<Real>& normaliser) {
    Real loss = -terms.target_share * static_cast<Real>(class_weights[target]) *
                normaliser.log_probability(logits[target]);
    if (terms.class_share > Real{0}) {
        Real smooth = 0;
        for (std::int64_t c = 0; c < classes; ++c) {
            smooth -= static_cast<Real>(class_weights[c]) * normaliser.log_probability(logits[c]);
        }
        loss += terms.class_share * smooth;
    }
    return loss;
}

/// The derivative of that loss by logit c: p[c] * (all weight that pulls) - (weight that pulls towards c).
template <typename Real, typename Weight>
TERRANE_HOST_DEVICE inline Real cross_entropy_slope(Real logit, std::int64_t c, std::int64_t target,
                                                    const Weight* class_weights,
                                                    const CrossEntropyTerms<Real>& terms,
                                                    const SoftmaxNormaliser<Real>& normaliser) {
    const Real target_pull = terms.target_share * static_cast<Real>(class_weights[target]);
    const Real all_pull = target_pull + terms.class_share * terms.weight_sum;
    const Real pull =
        (c == target ? target_pull : Real{0}) + terms.class_share * static_cast<Real>(class_weights[c]);
    return normaliser.probability(logit) * all_pull - pull;
}

/// Dice of one class from its sums over all valid pixels.
TERRANE_HOST_DEVICE inline double dice_of(double intersection, double probability_sum, double truth_sum,
                                          double smooth) {
    return (2 * intersection + smooth) / (probability_sum + truth_sum + smooth);
}

/// Derivative of factor * (1 - mean over `present` classes of dice_c) by a pixel's p_c is
/// constant + (c is the pixel's class ? on_target : 0). Both are 0 for a class that no label shows.
struct DiceSlope {
    double constant = 0;
    double on_target = 0;
};

TERRANE_HOST_DEVICE inline DiceSlope dice_slope(double intersection, double probability_sum, double truth_sum,
                                                double smooth, double present, double factor) {
    if (!(truth_sum > 0)) return {};
    const double denominator = probability_sum + truth_sum + smooth;
    return {factor / present * (2 * intersection + smooth) / (denominator * denominator),
            -factor / present * 2 / denominator};
}

/// From slopes by the probabilities to the slope by logit c: p_c * (slope_c - sum_k p_k * slope_k).
template <typename Real>
TERRANE_HOST_DEVICE inline Real softmax_slope(Real probability, Real slope, Real mean_slope) {
    return probability * (slope - mean_slope);
}

}  // namespace terrane::formulas

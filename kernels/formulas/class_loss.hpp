#pragma once

#include <cmath>
#include <cstdint>

#include "formulas/host_device.hpp"
#include "ops/dice.hpp"
#include "ops/tversky.hpp"

/// Softmax and the losses over class maps for one pixel, one class or one score. `logits` are its (already
/// upsampled) K logits.
namespace terrane::formulas {

/// Whether a label takes part in losses and scores.
TERRANE_HOST_DEVICE inline bool is_valid_label(int label, std::int64_t classes) {
    return label != ops::ignore_label && label < classes;
}

/// What a sum over pixels is multiplied by with Denominator::samples; `weight` and `samples` of all ranks.
TERRANE_HOST_DEVICE inline double share_of_samples(double weight, double samples) {
    return weight > 0 ? samples / weight : 0;
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

/// The focal loss of a pixel (ops/focal.hpp) without its weight, and what pulls its logits: the derivative by
/// logit c is pull * (p[c] - [c is the pixel's class]). `power` is (1 - p)^gamma, `rest` 1 - p, never 0.
template <typename Real>
struct FocalPixel {
    Real loss = 0;
    Real pull = 0;
};

template <typename Real>
TERRANE_HOST_DEVICE inline FocalPixel<Real> focal_pixel(Real log_probability, Real probability, Real rest,
                                                        Real power, Real gamma) {
    return {-power * log_probability, power * (1 - gamma * probability * log_probability / rest)};
}

/// 1 - p for focal_pixel: kept off 0, where its powers are not finite but the products they enter vanish.
template <typename Real>
TERRANE_HOST_DEVICE inline Real focal_rest(Real probability) {
    constexpr Real least = static_cast<Real>(1e-12);
    const Real rest = 1 - probability;
    return rest > least ? rest : least;
}

/// A score of overlap and its price, see ops/tversky.hpp; Dice is alpha = beta = 1/2, exponent 1, half the
/// smooth.
struct OverlapScore {
    double alpha = 0.5, beta = 0.5, exponent = 1, smooth = 1;
};

inline OverlapScore overlap_score(const ops::Dice& op) {
    return {.smooth = op.smooth / 2};
}
inline OverlapScore overlap_score(const ops::Tversky& op) {
    return {op.alpha, op.beta, op.exponent, op.smooth};
}

/// What one class of one batch or image costs, from its sums over all valid pixels, and the derivatives by
/// the probability of a pixel: constant + (c is the pixel's class ? on_target : 0).
struct OverlapLoss {
    double loss = 0;
    double constant = 0;
    double on_target = 0;
};

TERRANE_HOST_DEVICE inline OverlapLoss overlap_loss(double intersection, double probability_sum,
                                                    double truth_sum, const OverlapScore& score) {
    const double hits = intersection + score.smooth;
    const double shared = 1 - score.alpha - score.beta;
    const double all =
        shared * intersection + score.alpha * probability_sum + score.beta * truth_sum + score.smooth;
    if (!(all > 0)) return {};
    const double miss = 1 - hits / all;
    const double steepness =
        score.exponent == 1 ? 1 : score.exponent * std::pow(miss > 0 ? miss : 0, score.exponent - 1);
    return {score.exponent == 1 ? miss : std::pow(miss > 0 ? miss : 0, score.exponent),
            steepness * hits * score.alpha / (all * all), -steepness * (all - shared * hits) / (all * all)};
}

/// Walks the errors of one class in descending order (ops/lovasz.hpp): next() is the factor of each, the
/// growth of 1 - IoU when this pixel is called wrong, too.
class LovaszSweep {
  public:
    TERRANE_HOST_DEVICE explicit LovaszSweep(double truths) : truths_(truths) {}
    /// A sweep that has already seen `missed` truths and `wrong` others.
    TERRANE_HOST_DEVICE LovaszSweep(double truths, double missed, double wrong)
        : truths_(truths), missed_(missed), wrong_(wrong), previous_(jaccard()) {}

    TERRANE_HOST_DEVICE double next(bool is_truth) {
        (is_truth ? missed_ : wrong_) += 1;
        const double now = jaccard();
        const double growth = now - previous_;
        previous_ = now;
        return growth;
    }

  private:
    TERRANE_HOST_DEVICE double jaccard() const { return 1 - (truths_ - missed_) / (truths_ + wrong_); }

    double truths_, missed_ = 0, wrong_ = 0, previous_ = 0;
};

/// The signed distance of ops/boundary.hpp from the squared distances to the region and to its outside.
TERRANE_HOST_DEVICE inline double signed_distance(double squared_to_region, double squared_to_outside) {
    return squared_to_region > 0 ? std::sqrt(squared_to_region) : 1 - std::sqrt(squared_to_outside);
}

/// From slopes by the probabilities to the slope by logit c: p_c * (slope_c - sum_k p_k * slope_k).
template <typename Real>
TERRANE_HOST_DEVICE inline Real softmax_slope(Real probability, Real slope, Real mean_slope) {
    return probability * (slope - mean_slope);
}

}  // namespace terrane::formulas

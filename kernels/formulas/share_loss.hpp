#pragma once

#include <cstdint>

#include "formulas/diffusion.hpp"

/// ops::ShareLoss pixel by pixel; `targets` are the K numbers of a pixel.
namespace terrane::formulas {

/// The class of the largest target, the lowest of equal ones.
template <typename Real>
TERRANE_HOST_DEVICE inline std::int64_t target_class(const Real* targets, std::int64_t count) {
    std::int64_t best = 0;
    for (std::int64_t c = 1; c < count; ++c) {
        if (targets[c] > targets[best]) best = c;
    }
    return best;
}

/// Whether a pixel takes part in a loss over soft targets.
template <typename Real>
TERRANE_HOST_DEVICE inline bool takes_part(const Real* targets, std::int64_t count,
                                           ops::VoidPixels void_pixels) {
    Real sum = 0;
    for (std::int64_t c = 0; c < count; ++c) sum += targets[c];
    return sum > 0 || void_pixels == ops::VoidPixels::zero_vector;
}

/// What a class's score and slope are made of.
template <typename Real>
struct OverlapSums {
    Real both = 0;    ///< sum of share * target
    Real either = 0;  ///< sum of share + target
};
template <typename Real>
TERRANE_HOST_DEVICE inline Real dice_score(const OverlapSums<Real>& sums, Real smooth) {
    return (2 * sums.both + smooth) / (sums.either + smooth);
}
/// Slope of the score by a share whose target is `target`.
template <typename Real>
TERRANE_HOST_DEVICE inline Real dice_slope(const OverlapSums<Real>& sums, Real target, Real smooth) {
    const Real all = sums.either + smooth;
    return (2 * target * all - (2 * sums.both + smooth)) / (all * all);
}

}  // namespace terrane::formulas

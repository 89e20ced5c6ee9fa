#pragma once

#include <cstdint>

#include "formulas/host_device.hpp"
#include "ops/common.hpp"

/// The formulas of the memory-bound ops, each written once and included by every backend. `Real` is the type
/// the arithmetic runs in: double in the reference backend, float elsewhere.
namespace terrane::formulas {

/// The two source positions one target position is interpolated from, along one axis:
///   value = weight0 * source[index0] + weight1 * source[index1], the weights sum to 1.
/// At a border index1 == index0. Index, here and below: 64 bits, or int where the product of both sides is
/// far from its limit.
template <typename Real, typename Index = std::int64_t>
struct Tap {
    Index index0 = 0;
    Index index1 = 0;
    Real weight0 = 1;
    Real weight1 = 0;
};

/// Where a target lies in the source, as a fraction.
template <typename Index>
struct Position {
    Index numerator = 0;
    Index denominator = 1;  ///< the same for all targets
};

/// Where target position `target` of `out` lies in a source of `in` positions. Everything is a fraction of
/// integers, so that index and weight are exact on every device and in every precision:
///   half_pixel: ((2 target + 1) in - out) / (2 out), clamped at 0;   align_corners: target (in - 1) / (out -
///   1).
template <typename Index>
TERRANE_HOST_DEVICE inline Position<Index> position(Index target, Index in, Index out, ops::Corners corners) {
    Position<Index> result;
    if (corners == ops::Corners::half_pixel) {
        result = {(2 * target + 1) * in - out, 2 * out};
    } else if (out > 1) {
        result = {target * (in - 1), out - 1};
    }
    if (result.numerator < 0) result.numerator = 0;
    return result;
}

/// The tap of a target at numerator / denominator. Denominator: a number, or what divides like one.
template <typename Real, typename Index, typename Denominator>
TERRANE_HOST_DEVICE inline Tap<Real, Index> tap_at(Index numerator, const Denominator& denominator,
                                                   Index in) {
    Tap<Real, Index> result;
    result.index0 = numerator / denominator;
    result.index1 = result.index0 + (result.index0 + 1 < in ? 1 : 0);
    result.weight1 =
        static_cast<Real>(numerator - result.index0 * denominator) / static_cast<Real>(denominator);
    result.weight0 = Real{1} - result.weight1;
    return result;
}

template <typename Real>
TERRANE_HOST_DEVICE inline Tap<Real> tap(std::int64_t target, std::int64_t in, std::int64_t out,
                                         ops::Corners corners) {
    const auto at = position(target, in, out, corners);
    return tap_at<Real>(at.numerator, at.denominator, in);
}

/// A half-open range of positions.
struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;
};

/// Division rounded towards minus infinity; the divisor is positive.
template <typename Index>
TERRANE_HOST_DEVICE constexpr Index floor_divide(Index dividend, Index divisor) {
    return dividend >= 0 ? dividend / divisor : -((-dividend + divisor - 1) / divisor);
}

/// The targets that read source position `source`, along one axis: those whose position lies strictly between
/// source - 1 and source + 1, and all beyond at a border. The gather form of the backward pass walks them in
/// order and multiplies each by reading_weight().
template <typename Index>
TERRANE_HOST_DEVICE inline Range targets_reading_as(Index source, Index in, Index out, ops::Corners corners) {
    Index begin = 0, end = out;
    if (corners == ops::Corners::half_pixel) {
        // ((2t + 1) in - out) / (2 out) > source - 1  <=>  2t > (out (2 source - 1) - in) / in, and likewise.
        if (source > 0) begin = floor_divide<Index>(out * (2 * source - 1) - in, 2 * in) + 1;
        if (source + 1 < in) end = -floor_divide<Index>(in - out * (2 * source + 3), 2 * in);
    } else if (out > 1 && in > 1) {
        // t (in - 1) / (out - 1) > source - 1, and likewise.
        begin = source > 0 ? (source - 1) * (out - 1) / (in - 1) + 1 : 0;
        end = source + 1 < in ? ((source + 1) * (out - 1) + in - 2) / (in - 1) : out;
    } else {
        end = source == 0 ? out : 0;  // a single target, or a single source: everything reads source 0
    }
    if (begin < 0) begin = 0;
    if (end > out) end = out;
    if (end < begin) end = begin;
    return {begin, end};
}
TERRANE_HOST_DEVICE inline Range targets_reading(std::int64_t source, std::int64_t in, std::int64_t out,
                                                 ops::Corners corners) {
    return targets_reading_as<std::int64_t>(source, in, out, corners);
}

/// The weight with which a target reads `source`; 0 if it does not.
template <typename Real, typename Index>
TERRANE_HOST_DEVICE inline Real reading_weight(const Tap<Real, Index>& tap, Index source) {
    return (tap.index0 == source ? tap.weight0 : Real{0}) + (tap.index1 == source ? tap.weight1 : Real{0});
}

/// The bilinear value from its four sources: first along the rows, then between them.
template <typename Real, typename Index>
TERRANE_HOST_DEVICE inline Real bilinear(const Tap<Real, Index>& row, const Tap<Real, Index>& column,
                                         Real value00, Real value01, Real value10, Real value11) {
    const Real upper = column.weight0 * value00 + column.weight1 * value01;
    const Real lower = column.weight0 * value10 + column.weight1 * value11;
    return row.weight0 * upper + row.weight1 * lower;
}

}  // namespace terrane::formulas

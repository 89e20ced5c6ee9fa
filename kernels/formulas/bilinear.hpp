#pragma once

#include <cstdint>

#include "formulas/host_device.hpp"
#include "ops/common.hpp"

/// The formulas of the memory-bound ops, each written once and included by every backend. `Real` is the type
/// the arithmetic runs in: double in the reference backend, float elsewhere.
namespace terrane::formulas {

/// The two source positions one target position is interpolated from, along one axis:
///   value = weight0 * source[index0] + weight1 * source[index1], the weights sum to 1.
/// At a border index1 == index0.
template <typename Real>
struct Tap {
    std::int64_t index0 = 0;
    std::int64_t index1 = 0;
    Real weight0 = 1;
    Real weight1 = 0;
};

/// Where target position `target` of `out` lies in a source of `in` positions. Everything is a fraction of
/// integers, so that index and weight are exact on every device and in every precision:
///   half_pixel: ((2 target + 1) in - out) / (2 out), clamped at 0;   align_corners: target (in - 1) / (out -
///   1).
template <typename Real>
TERRANE_HOST_DEVICE inline Tap<Real> tap(std::int64_t target, std::int64_t in, std::int64_t out,
                                         ops::Corners corners) {
    std::int64_t numerator = 0, denominator = 1;
    if (corners == ops::Corners::half_pixel) {
        numerator = (2 * target + 1) * in - out;
        denominator = 2 * out;
    } else if (out > 1) {
        numerator = target * (in - 1);
        denominator = out - 1;
    }
    if (numerator < 0) numerator = 0;
    Tap<Real> result;
    result.index0 = numerator / denominator;
    result.index1 = result.index0 + (result.index0 + 1 < in ? 1 : 0);
    result.weight1 =
        static_cast<Real>(numerator - result.index0 * denominator) / static_cast<Real>(denominator);
    result.weight0 = Real{1} - result.weight1;
    return result;
}

/// A half-open range of positions.
struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;
};

/// Division rounded towards minus infinity; the divisor is positive.
TERRANE_HOST_DEVICE constexpr std::int64_t floor_divide(std::int64_t dividend, std::int64_t divisor) {
    return dividend >= 0 ? dividend / divisor : -((-dividend + divisor - 1) / divisor);
}

/// The targets that read source position `source`, along one axis: those whose position lies strictly between
/// source - 1 and source + 1, and all beyond at a border. The gather form of the backward pass walks them in
/// order and multiplies each by reading_weight().
TERRANE_HOST_DEVICE inline Range targets_reading(std::int64_t source, std::int64_t in, std::int64_t out,
                                                 ops::Corners corners) {
    Range range{0, out};
    if (corners == ops::Corners::half_pixel) {
        // ((2t + 1) in - out) / (2 out) > source - 1  <=>  2t > (out (2 source - 1) - in) / in, and likewise.
        if (source > 0) range.begin = floor_divide(out * (2 * source - 1) - in, 2 * in) + 1;
        if (source + 1 < in) range.end = -floor_divide(in - out * (2 * source + 3), 2 * in);
    } else if (out > 1 && in > 1) {
        // t (in - 1) / (out - 1) > source - 1, and likewise.
        range.begin = source > 0 ? (source - 1) * (out - 1) / (in - 1) + 1 : 0;
        range.end = source + 1 < in ? ((source + 1) * (out - 1) + in - 2) / (in - 1) : out;
    } else {
        range.end = source == 0 ? out : 0;  // a single target, or a single source: everything reads source 0
    }
    if (range.begin < 0) range.begin = 0;
    if (range.end > out) range.end = out;
    if (range.end < range.begin) range.end = range.begin;
    return range;
}

/// The weight with which a target reads `source`; 0 if it does not.
template <typename Real>
TERRANE_HOST_DEVICE inline Real reading_weight(const Tap<Real>& tap, std::int64_t source) {
    return (tap.index0 == source ? tap.weight0 : Real{0}) + (tap.index1 == source ? tap.weight1 : Real{0});
}

/// The bilinear value from its four sources: first along the rows, then between them.
template <typename Real>
TERRANE_HOST_DEVICE inline Real bilinear(const Tap<Real>& row, const Tap<Real>& column, Real value00,
                                         Real value01, Real value10, Real value11) {
    const Real upper = column.weight0 * value00 + column.weight1 * value01;
    const Real lower = column.weight0 * value10 + column.weight1 * value11;
    return row.weight0 * upper + row.weight1 * lower;
}

}  // namespace terrane::formulas

#pragma once

#include <algorithm>

#include "cuda/map_pass.hpp"
#include "formulas/bilinear.hpp"

/// Bilinear interpolation along one axis, and the second half of its backward pass.
namespace terrane::cuda {

/// One side of a map and of the map that is interpolated from it, in numbers of 32 bits.
struct ResizedAxis {
    int in = 1, out = 1;
    ops::Corners corners = ops::Corners::half_pixel;
    Divisor denominator;

    ResizedAxis() = default;
    ResizedAxis(std::int64_t in_side, std::int64_t out_side, ops::Corners corner_kind)
        : in(static_cast<int>(in_side)),
          out(static_cast<int>(out_side)),
          corners(corner_kind),
          denominator(formulas::position<std::int64_t>(0, in_side, out_side, corner_kind).denominator) {}
    /// Whether all products of positions stay below 2^31.
    static bool fits(std::int64_t in, std::int64_t out) {
        return (2 * in + 3) < (INT64_C(1) << 31) / (2 * out + 3);
    }

    TERRANE_HOST_DEVICE formulas::Tap<float, int> tap(int target) const {
        return formulas::tap_at<float>(formulas::position(target, in, out, corners).numerator, denominator,
                                       in);
    }
    TERRANE_HOST_DEVICE formulas::Range readers(int source) const {
        return formulas::targets_reading_as(source, in, out, corners);
    }
    TERRANE_HOST_DEVICE float weight(int target, int source) const {
        return formulas::reading_weight(tap(target), source);
    }
    /// Of any source.
    int most_readers() const {
        std::int64_t most = 0;
        for (int source = 0; source < in; ++source) {
            const formulas::Range range = readers(source);
            most = std::max(most, range.end - range.begin);
        }
        return static_cast<int>(most);
    }
};

/// From gradients of lines that were interpolated [batch, rows.out, line] to those of the source's lines
/// [batch, rows.in, line]: a pass over [batch, rows.in, 1, line].
template <typename T>
struct CollapseRows {
    const float* partial;
    const double* share;  ///< what the sums are multiplied by; null: 1
    T* gradient;
    ResizedAxis rows;
    int line;

    struct Site {
        int source, begin, end;
        std::int64_t from, to;  ///< elements
    };
    TERRANE_HOST_DEVICE Site at(int n, int row, int) const {
        const formulas::Range range = rows.readers(row);
        const int begin = static_cast<int>(range.begin);
        return {row, begin, static_cast<int>(range.end),
                static_cast<std::int64_t>(n * rows.out + begin) * line,
                static_cast<std::int64_t>(n * rows.in + row) * line};
    }
    template <int width>
    TERRANE_HOST_DEVICE void apply(const Site& site, int element) const {
        float sums[width] = {}, values[width];
        std::int64_t from = site.from + element;
        for (int row = site.begin; row < site.end; ++row, from += line) {
            const float weight = rows.weight(row, site.source);
            load<width>(partial, from, values);
            for (int i = 0; i < width; ++i) sums[i] += weight * values[i];
        }
        for (int i = 0; share != nullptr && i < width; ++i) {
            sums[i] = static_cast<float>(static_cast<double>(sums[i]) * *share);
        }
        store<width>(gradient, site.to + element, sums);
    }
};

}  // namespace terrane::cuda

#pragma once

#include <cstdint>

#include "cpu/element.hpp"
#include "cpu/lanes.hpp"
#include "cpu/vector_math.hpp"

/// What the localization rectification loss does between its matrix products, row by row.
namespace terrane::cpu {

/// unit = row / sqrt(sum of squares + epsilon), scale = what it was multiplied by.
template <typename From>
TERRANE_INLINE void normalise_rows(const From* from, std::int64_t rows, std::int64_t width, float epsilon,
                                   float* unit, float* scale) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const From* const place = from + row * width;
        const float squares =
            lane_sum(width, [&](std::int64_t c) { return load(place + c) * load(place + c); });
        const float factor = 1.0f / __builtin_sqrtf(squares + epsilon);
        scale[row] = factor;
#pragma omp simd
        for (std::int64_t c = 0; c < width; ++c) unit[row * width + c] = factor * load(place + c);
    }
}

/// Cosines become e^cosine: at most e, so that no maximum has to be subtracted. share = 1 / sum of a row.
TERRANE_INLINE void exponentiate_rows(float* x, std::int64_t rows, std::int64_t keys, float* share) {
    for (std::int64_t row = 0; row < rows; ++row) {
        float* const place = x + row * keys;
#pragma omp simd
        for (std::int64_t j = 0; j < keys; ++j) place[j] = exponential(place[j]);
        share[row] = 1.0f / lane_sum(keys, [&](std::int64_t j) { return place[j]; });
    }
}

/// x *= factor
TERRANE_INLINE void scale(float* x, std::int64_t count, float factor) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) x[i] *= factor;
}

/// Every row times its own factor.
TERRANE_INLINE void scale_rows(float* x, std::int64_t rows, std::int64_t keys, const float* factor) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const float own = factor[row];
#pragma omp simd
        for (std::int64_t j = 0; j < keys; ++j) x[row * keys + j] *= own;
    }
}

/// Rectified features become residuals: x - gamma * rectified, or x where `foreground` is 0.
TERRANE_INLINE void residual_rows(const float* x, const float* foreground, float gamma, float* rectified,
                                  std::int64_t rows, std::int64_t channels) {
    for (std::int64_t row = 0; row < rows; ++row) {
        float* const place = rectified + row * channels;
        const float* const feature = x + row * channels;
        if (foreground[row] == 0) {
#pragma omp simd
            for (std::int64_t c = 0; c < channels; ++c) place[c] = feature[c];
            continue;
        }
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) place[c] = feature[c] - gamma * place[c];
    }
}

/// Sum of squares, and how many squares are not zero.
struct SquareTotals {
    double squares = 0;
    double entries = 0;
};

TERRANE_INLINE SquareTotals square_totals(const float* x, std::int64_t rows, std::int64_t channels) {
    SquareTotals totals;
    for (std::int64_t row = 0; row < rows; ++row) {
        const float* const place = x + row * channels;
        totals.squares +=
            static_cast<double>(lane_sum(channels, [&](std::int64_t c) { return place[c] * place[c]; }));
        totals.entries += static_cast<double>(
            lane_sum(channels, [&](std::int64_t c) { return place[c] * place[c] != 0.0f ? 1.0f : 0.0f; }));
    }
    return totals;
}

/// Sum of the products of two rows over the foreground.
TERRANE_INLINE double foreground_product(const float* a, const float* b, const float* foreground,
                                         std::int64_t rows, std::int64_t channels) {
    double sum = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
        if (foreground[row] == 0) continue;
        const float* const first = a + row * channels;
        const float* const second = b + row * channels;
        sum += static_cast<double>(lane_sum(channels, [&](std::int64_t c) { return first[c] * second[c]; }));
    }
    return sum;
}

/// to = -gamma * from in the foreground, 0 elsewhere: from slopes by the residuals to slopes by the
/// rectified.
TERRANE_INLINE void rectified_slope_rows(const float* from, const float* foreground, float gamma, float* to,
                                         std::int64_t rows, std::int64_t channels) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const float own = -gamma * foreground[row];
#pragma omp simd
        for (std::int64_t c = 0; c < channels; ++c) to[row * channels + c] = own * from[row * channels + c];
    }
}

/// mean = sum over the keys of similarity * slope.
TERRANE_INLINE void mean_slope_rows(const float* similarity, const float* slope, std::int64_t rows,
                                    std::int64_t keys, float* mean) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const float* const a = similarity + row * keys;
        const float* const s = slope + row * keys;
        mean[row] = lane_sum(keys, [&](std::int64_t j) { return a[j] * s[j]; });
    }
}

/// Slopes by the similarities become slopes by the cosines: similarity * (slope - mean).
TERRANE_INLINE void cosine_slope_rows(const float* similarity, float* slope, std::int64_t rows,
                                      std::int64_t keys, const float* mean) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const float own = mean[row];
#pragma omp simd
        for (std::int64_t j = 0; j < keys; ++j) {
            slope[row * keys + j] = similarity[row * keys + j] * (slope[row * keys + j] - own);
        }
    }
}

/// From the gradient of normalised rows to that of the rows: (d - (unit . d) unit) * scale.
template <typename To>
TERRANE_INLINE void unit_gradient_rows(const float* unit, const float* scale, const float* dunit,
                                       std::int64_t rows, std::int64_t width, To* to) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const float* const u = unit + row * width;
        const float* const d = dunit + row * width;
        const float along = lane_sum(width, [&](std::int64_t c) { return u[c] * d[c]; });
        const float factor = scale[row];
#pragma omp simd
        for (std::int64_t c = 0; c < width; ++c) store(to + row * width + c, (d[c] - along * u[c]) * factor);
    }
}

/// to = a + b
template <typename To>
TERRANE_INLINE void combine(const float* a, const float* b, std::int64_t count, To* to) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) store(to + i, a[i] + b[i]);
}

}  // namespace terrane::cpu

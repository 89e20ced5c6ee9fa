#pragma once

#include <cstdint>

#include "cpu/element.hpp"
#include "cpu/lanes.hpp"
#include "cpu/uniform_draws.hpp"
#include "cpu/vector_math.hpp"

/// What attention does between its matrix products, row by row of a block.
namespace terrane::cpu {

/// Copies `rows` rows of `width` neighbouring elements, changing distance between rows and type.
template <typename From, typename To>
TERRANE_INLINE void copy_rows(const From* from, std::int64_t from_stride, To* to, std::int64_t to_stride,
                              std::int64_t rows, std::int64_t width) {
    for (std::int64_t row = 0; row < rows; ++row) {
#pragma omp simd
        for (std::int64_t c = 0; c < width; ++c) {
            store(to + row * to_stride + c, load(from + row * from_stride + c));
        }
    }
}

TERRANE_INLINE float largest_of(const float* x, std::int64_t count) {
    float lane[lanes];
    for (std::int64_t i = 0; i < lanes; ++i) lane[i] = x[0];
    std::int64_t first = 0;
    for (; first + lanes <= count; first += lanes) {
#pragma omp simd
        for (std::int64_t i = 0; i < lanes; ++i) lane[i] = x[first + i] > lane[i] ? x[first + i] : lane[i];
    }
    for (std::int64_t i = 0; first + i < count; ++i) {
        lane[i] = x[first + i] > lane[i] ? x[first + i] : lane[i];
    }
    float result = lane[0];
    for (std::int64_t i = 1; i < lanes; ++i) result = lane[i] > result ? lane[i] : result;
    return result;
}

/// Scores become probabilities in place: softmax(scale * x) in every row.
TERRANE_INLINE void softmax_rows(float* x, std::int64_t rows, std::int64_t keys, float scale) {
    for (std::int64_t row = 0; row < rows; ++row) {
        float* const place = x + row * keys;
#pragma omp simd
        for (std::int64_t j = 0; j < keys; ++j) place[j] *= scale;
        const float largest = largest_of(place, keys);
#pragma omp simd
        for (std::int64_t j = 0; j < keys; ++j) place[j] = exponential(place[j] - largest);
        const float share = 1.0f / lane_sum(keys, [&](std::int64_t j) { return place[j]; });
#pragma omp simd
        for (std::int64_t j = 0; j < keys; ++j) place[j] *= share;
    }
}

/// y = x with dropped elements zero and the rest divided by the probability of staying. `first`: the number
/// of the block's first element in the sample's draws.
template <typename Y>
TERRANE_INLINE void drop_row(const float* x, Y* y, Draw draw, std::int64_t first, std::int64_t count,
                             float kept) {
    const float threshold = static_cast<float>(draw.probability);
    for (std::int64_t at = 0; at < count; at += drawn) {
        float uniform[drawn];
        draw_uniform(draw, first + at, uniform);
        const std::int64_t length = count - at < drawn ? count - at : drawn;
#pragma omp simd
        for (std::int64_t i = 0; i < length; ++i) {
            store(y + at + i, uniform[i] >= threshold ? x[at + i] * kept : 0.0f);
        }
    }
}

/// dscores = scale * probability * (dprobability - sum of their products), row by row.
template <typename Y>
TERRANE_INLINE void score_gradient_rows(const float* probability, const float* dprobability, Y* dscores,
                                        std::int64_t rows, std::int64_t keys, float scale) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const float* const p = probability + row * keys;
        const float* const dp = dprobability + row * keys;
        const float mean = lane_sum(keys, [&](std::int64_t j) { return p[j] * dp[j]; });
#pragma omp simd
        for (std::int64_t j = 0; j < keys; ++j) {
            store(dscores + row * keys + j, scale * p[j] * (dp[j] - mean));
        }
    }
}

}  // namespace terrane::cpu

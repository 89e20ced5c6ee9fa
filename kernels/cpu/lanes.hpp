#pragma once

#include <cstdint>

#include "cpu/isa.hpp"

/// Sums along a row, vectorised with a fixed order: sixteen lanes, then halves onto halves. The result
/// depends neither on the instruction set nor on where in memory the row lies.
namespace terrane::cpu {

inline constexpr int lanes = 16;

TERRANE_INLINE float folded(float* lane) {
    for (int width = lanes / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
    }
    return lane[0];
}

/// term(0) + ... + term(count - 1)
template <typename Term>
TERRANE_INLINE float lane_sum(std::int64_t count, const Term& term) {
    float sum[lanes] = {};
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
#pragma omp simd
        for (int lane = 0; lane < lanes; ++lane) sum[lane] += term(i + lane);
    }
    for (int lane = 0; i + lane < count; ++lane) sum[lane] += term(i + lane);
    return folded(sum);
}

}  // namespace terrane::cpu

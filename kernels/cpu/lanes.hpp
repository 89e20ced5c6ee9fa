#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/isa.hpp"

/// Sums along a row, vectorised with a fixed order: 64 lanes, then halves onto halves. The result depends
/// neither on the instruction set nor on where in memory the row lies. As many lanes as several vectors hold,
/// since each addition waits for the one before it in the same lane.
namespace terrane::cpu {

inline constexpr std::int64_t lanes = 64;

/// Halves onto halves until one number is left, in registers: four floats at a time, which every x86-64 has.
TERRANE_INLINE float folded(const float* lane) {
    using Four [[gnu::vector_size(16)]] = float;
    Four part[lanes / 4];
    std::memcpy(part, lane, sizeof(part));
    for (std::int64_t width = lanes / 8; width > 0; width /= 2) {
        for (std::int64_t i = 0; i < width; ++i) part[i] += part[i + width];
    }
    const Four last = part[0];
    return (last[0] + last[2]) + (last[1] + last[3]);
}

/// term(0) + ... + term(count - 1)
template <typename Term>
TERRANE_INLINE float lane_sum(std::int64_t count, const Term& term) {
    float sum[lanes] = {};
    std::int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
#pragma omp simd
        for (std::int64_t lane = 0; lane < lanes; ++lane) sum[lane] += term(i + lane);
    }
    const std::int64_t rest = count - i;
#pragma omp simd
    for (std::int64_t lane = 0; lane < rest; ++lane) sum[lane] += term(i + lane);
    return folded(sum);
}

/// body(first, count) over strips of `count` channels, whose partial results fit into registers: full strips
/// have a length that the compiler knows once `body` is inlined.
inline constexpr std::int64_t strip = 64;

template <typename Body>
TERRANE_INLINE void for_strips(std::int64_t channels, const Body& body) {
    std::int64_t first = 0;
    for (; first + strip <= channels; first += strip) body(first, strip);
    if (first < channels) body(first, channels - first);
}

}  // namespace terrane::cpu

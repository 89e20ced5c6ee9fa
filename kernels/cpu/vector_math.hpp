#pragma once

#include <bit>
#include <cstdint>

#include "cpu/isa.hpp"

/// Elementary functions without branches or calls, so that loops over them vectorise, with equal bits on
/// every instruction set. They compute what kernels/formulas writes with std::exp, std::log and std::erfc, to
/// about 2e-7 relative.
namespace terrane::cpu {

namespace detail {

/// 2^n for n in [-126, 127].
TERRANE_INLINE float power_of_two(std::int32_t n) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

}  // namespace detail

/// e^x; 0 below -87.3 (where the result would be subnormal), infinity above 88.7. The polynomial is that of
/// Moshier's Cephes library (expf).
TERRANE_INLINE float exponential(float x) {
    constexpr float lowest = -87.3365f, highest = 88.7228f;
    float bounded = x < lowest ? lowest : x;
    bounded = bounded > highest ? highest : bounded;
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const float shifted = bounded * 1.44269504088896341f + 12582912.0f;
    const std::int32_t n = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(12582912.0f);
    const float whole = shifted - 12582912.0f;
    const float r = (bounded - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * (r * r) + r) + 1.0f;
    const std::int32_t half = n >> 1;  // two factors: 2^128 is no float
    const float value = p * detail::power_of_two(half) * detail::power_of_two(n - half);
    return x < lowest ? 0.0f : (x > highest ? std::bit_cast<float>(0x7f800000u) : value);
}

/// log(x) for finite normal x > 0, by the polynomial of Moshier's Cephes library (logf).
TERRANE_INLINE float logarithm(float x) {
    const auto bits = std::bit_cast<std::int32_t>(x);
    // Mantissa in [sqrt(1/2), sqrt(2)): the exponent is counted from there.
    const std::int32_t exponent = (bits - 0x3f3504f3) >> 23;
    const float mantissa =
        std::bit_cast<float>(static_cast<std::uint32_t>(bits) - (static_cast<std::uint32_t>(exponent) << 23));
    const float r = mantissa - 1.0f;
    float p = 7.0376836292e-2f;
    p = p * r - 1.1514610310e-1f;
    p = p * r + 1.1676998740e-1f;
    p = p * r - 1.2420140846e-1f;
    p = p * r + 1.4249322787e-1f;
    p = p * r - 1.6668057665e-1f;
    p = p * r + 2.0000714765e-1f;
    p = p * r - 2.4999993993e-1f;
    p = p * r + 3.3333331174e-1f;
    const float square = r * r;
    const float e = static_cast<float>(exponent);
    const float tail = p * r * square + e * -2.12194440e-4f - 0.5f * square;
    return (r + tail) + e * 0.693359375f;
}

TERRANE_INLINE float sigmoid(float x) {
    return 1.0f / (1.0f + exponential(-x));
}

/// The normal distribution function, by Chebyshev's fit of erfc in Press et al., Numerical Recipes (6.2),
/// whose relative error is below 1.2e-7 everywhere.
TERRANE_INLINE float normal_cumulative(float x) {
    const float z = (x < 0 ? -x : x) * 0.70710678118654752f;
    const float t = 1.0f / (1.0f + 0.5f * z);
    float p = 0.17087277f;
    p = p * t - 0.82215223f;
    p = p * t + 1.48851587f;
    p = p * t - 1.13520398f;
    p = p * t + 0.27886807f;
    p = p * t - 0.18628806f;
    p = p * t + 0.09678418f;
    p = p * t + 0.37409196f;
    p = p * t + 1.00002368f;
    p = p * t - 1.26551223f;
    const float upper = 0.5f * t * exponential(p - z * z);
    return x < 0 ? upper : 1.0f - upper;
}

}  // namespace terrane::cpu

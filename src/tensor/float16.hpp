#pragma once

#include "tensor/dtype.hpp"

namespace terrane {

/// IEEE binary16: 1 sign, 5 exponent and 10 fraction bits, rounded to nearest even; what is too large becomes
/// infinite, NaN stays NaN.
struct float16 {
    std::uint16_t bits = 0;

    float16() = default;
    explicit constexpr float16(float value) {
        const auto word = std::bit_cast<std::uint32_t>(value);
        const std::uint32_t sign = word >> 16 & 0x8000u, magnitude = word & 0x7fffffffu;
        bits = static_cast<std::uint16_t>(sign | rounded(magnitude));
    }
    explicit constexpr operator float() const {
        const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16;
        const std::uint32_t magnitude = std::uint32_t{bits & 0x7fffu} << 13;
        if (magnitude >= 0x1fu << 23) return std::bit_cast<float>(sign | 0x7f800000u | magnitude);
        // The exponent's bias grows from 15 to 127 by a multiplication, which is right for subnormal numbers,
        // too.
        const float shifted = std::bit_cast<float>(magnitude) * 0x1p112f;
        return sign != 0 ? -shifted : shifted;
    }

  private:
    static constexpr std::uint32_t rounded(std::uint32_t magnitude) {
        if (magnitude > 0x7f800000u) return 0x7e00u;
        if (magnitude >= 0x477ff000u) return 0x7c00u;  // 65520 and more round to 65536
        if (magnitude < 0x38800000u) {
            // Subnormal: adding 1/2 leaves the multiple of 2^-24 in the fraction, rounded by the addition.
            return std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
        }
        return (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    }
};
static_assert(sizeof(float16) == 2);

template <>
inline constexpr DType dtype_of<float16> = DType::f16;

}  // namespace terrane

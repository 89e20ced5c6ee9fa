#pragma once

#include <bit>
#include <cstdint>

#include "cpu/isa.hpp"
#include "tensor/dtype.hpp"

/// Activations are f32 or bf16 in memory and fp32 in every computation. The conversions are written without
/// branches so that loops over them vectorise.
namespace terrane::cpu {

TERRANE_INLINE float load(const float* place) {
    return *place;
}
TERRANE_INLINE float load(const bfloat16* place) {
    return std::bit_cast<float>(std::uint32_t{place->bits} << 16);
}
TERRANE_INLINE void store(float* place, float value) {
    *place = value;
}
/// Rounds to nearest even; equals bfloat16's constructor.
TERRANE_INLINE void store(bfloat16* place, float value) {
    const auto word = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    const std::uint32_t quiet = (word >> 16) | 0x40u;
    place->bits = static_cast<std::uint16_t>((word & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

/// The value as it will be read back from memory of type T.
template <typename T>
TERRANE_INLINE float rounded_to(float value) {
    T memory;
    store(&memory, value);
    return load(&memory);
}

}  // namespace terrane::cpu

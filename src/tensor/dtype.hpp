#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace terrane {

/// Element types of tensors and of stored tiles.
enum class DType : std::uint8_t { f32, bf16, f16, f64, u8, i8, u16, i16, u32, i32, i64 };

/// Bytes of one element.
std::size_t size_of(DType dtype);
/// "f32", "bf16" ...: the names used in the tile store, in messages and (upper case) in safetensors.
std::string_view name_of(DType dtype);
/// The inverse of name_of. Throws Error E0701 for an unknown name.
DType dtype_from_name(std::string_view name);

/// bfloat16: the upper half of an IEEE binary32, rounded to nearest even; NaN stays NaN.
struct bfloat16 {
    std::uint16_t bits = 0;

    bfloat16() = default;
    explicit constexpr bfloat16(float value) {
        const auto word = std::bit_cast<std::uint32_t>(value);
        if ((word & 0x7fffffffu) > 0x7f800000u) {
            bits = static_cast<std::uint16_t>((word >> 16) | 0x40u);
        } else {
            bits = static_cast<std::uint16_t>((word + 0x7fffu + ((word >> 16) & 1u)) >> 16);
        }
    }
    explicit constexpr operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};
static_assert(sizeof(bfloat16) == 2);

/// The DType of a C++ element type.
template <typename T>
inline constexpr DType dtype_of = [] {
    static_assert(sizeof(T) == 0, "no DType for this element type");
    return DType::f32;
}();
template <> inline constexpr DType dtype_of<float> = DType::f32;
template <> inline constexpr DType dtype_of<bfloat16> = DType::bf16;
template <> inline constexpr DType dtype_of<double> = DType::f64;
template <> inline constexpr DType dtype_of<std::uint8_t> = DType::u8;
template <> inline constexpr DType dtype_of<std::int8_t> = DType::i8;
template <> inline constexpr DType dtype_of<std::uint16_t> = DType::u16;
template <> inline constexpr DType dtype_of<std::int16_t> = DType::i16;
template <> inline constexpr DType dtype_of<std::uint32_t> = DType::u32;
template <> inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <> inline constexpr DType dtype_of<std::int64_t> = DType::i64;

}  // namespace terrane

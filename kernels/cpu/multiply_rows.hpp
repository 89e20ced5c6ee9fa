#pragma once

#include <cstdint>

#include "cpu/element.hpp"
#include "cpu/lanes.hpp"

/// Products with broadcast factors, shared by Multiply and channel dropout. An operand [outer, middle, inner]
/// is multiplied by factors [outer, inner].
namespace terrane::cpu {

/// Sum over a row of products.
template <typename A, typename B>
TERRANE_INLINE float dot_row(const A* a, const B* b, std::int64_t count) {
    return lane_sum(count, [&](std::int64_t i) { return load(a + i) * load(b + i); });
}

/// y = a * b, element by element.
template <typename A, typename B, typename Y>
TERRANE_INLINE void multiply_row(const A* a, const B* b, Y* y, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) store(y + i, load(a + i) * load(b + i));
}

template <typename T>
TERRANE_INLINE void multiply_row(const T* a, float factor, T* y, std::int64_t count) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) store(y + i, load(a + i) * factor);
}

/// Rows [begin, end) of the outer * middle rows.
template <typename T, typename B>
TERRANE_INLINE void multiply_rows(const T* a, const B* b, T* y, std::int64_t begin, std::int64_t end,
                                  std::int64_t middle, std::int64_t inner) {
    for (std::int64_t row = begin; row < end; ++row) {
        multiply_row(a + row * inner, b + row / middle * inner, y + row * inner, inner);
    }
}

}  // namespace terrane::cpu

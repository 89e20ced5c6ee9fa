#pragma once

#include <cstdint>

#include "formulas/bilinear.hpp"

namespace terrane::formulas {

/// Bin `bin` of `bins` over `length` positions: [floor(bin length / bins), ceil((bin + 1) length / bins)).
/// Here and below, Index: 64 bits, or int where length * bins is far from its limit; Divisor: that, or what
/// divides like it.
template <typename Index, typename Divisor>
TERRANE_HOST_DEVICE constexpr Range bin_range(Index bin, Index length, const Divisor& bins) {
    return {bin * length / bins, ((bin + 1) * length + bins - 1) / bins};
}

/// The bins that hold `position`; never empty.
template <typename Index, typename Divisor>
TERRANE_HOST_DEVICE constexpr Range bins_holding(Index position, const Divisor& length, Index bins) {
    // First bin with ceil((bin + 1) length / bins) > position, and first with floor(bin length / bins) >
    // position.
    return {position * bins / length, ((position + 1) * bins + length - 1) / length};
}

}  // namespace terrane::formulas

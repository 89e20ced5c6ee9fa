#pragma once

#include <cstdint>

#include "formulas/bilinear.hpp"

namespace terrane::formulas {

/// Bin `bin` of `bins` over `length` positions: [floor(bin length / bins), ceil((bin + 1) length / bins)).
TERRANE_HOST_DEVICE constexpr Range bin_range(std::int64_t bin, std::int64_t length, std::int64_t bins) {
    return {bin * length / bins, ((bin + 1) * length + bins - 1) / bins};
}

/// The bins that hold `position`; never empty.
TERRANE_HOST_DEVICE constexpr Range bins_holding(std::int64_t position, std::int64_t length,
                                                 std::int64_t bins) {
    // First bin with ceil((bin + 1) length / bins) > position, and first with floor(bin length / bins) >
    // position.
    return {position * bins / length, ((position + 1) * bins + length - 1) / length};
}

}  // namespace terrane::formulas

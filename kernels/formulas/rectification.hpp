#pragma once

#include <cstdint>

#include "formulas/bilinear.hpp"
#include "ops/localization_rectification.hpp"

/// The mask of the localization rectification loss (ops/localization_rectification.hpp).
namespace terrane::formulas {

/// Whether token (row, column) of an h x w grid reads any foreground pixel of a class map [height, width].
TERRANE_HOST_DEVICE inline bool is_foreground_token(const std::uint8_t* classes, std::int64_t height,
                                                    std::int64_t width, std::int64_t row, std::int64_t column,
                                                    std::int64_t h, std::int64_t w, int background) {
    const Tap<double> rows = tap<double>(row, height, h, ops::Corners::align_corners);
    const Tap<double> columns = tap<double>(column, width, w, ops::Corners::align_corners);
    for (int i = 0; i < 4; ++i) {
        const bool lower = i / 2 == 1, right = i % 2 == 1;
        const double weight =
            (lower ? rows.weight1 : rows.weight0) * (right ? columns.weight1 : columns.weight0);
        const std::int64_t place =
            (lower ? rows.index1 : rows.index0) * width + (right ? columns.index1 : columns.index0);
        if (weight > 0 && classes[place] != ops::ignore_label && classes[place] != background) return true;
    }
    return false;
}

}  // namespace terrane::formulas

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "weights/import_plan.hpp"

namespace terrane::weights {

/// A table of positions: a square grid behind some tokens that are no positions (class, distillation).
struct PositionGrid {
    std::int64_t edge = 0;
    std::int64_t extra = 0;
};
/// extra = N - floor(sqrt N)^2: 196 is a grid of 14, 197 the same behind a class token.
PositionGrid position_grid(std::int64_t tokens);

/// Resizes a table [tokens, channels]; bilinear or bicubic (a = -0.75) with half-pixel centres, as PyTorch's
/// interpolate does. Tokens before the grid are kept as far as the target has them, further ones are zero.
std::vector<float> resize_positions(std::span<const float> table, std::int64_t channels, std::int64_t tokens,
                                    PositionResize method);

}  // namespace terrane::weights

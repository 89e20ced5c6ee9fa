#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Cuts maps into squares, or puts squares together to maps. Input of `cut`: [N,H,W,C] with H and W multiples
/// of `edge`; output [R*N,edge,edge,C] with R = H/edge * W/edge, patch by patch in row-major order and within
/// a patch sample by sample, so that one patch of all samples is contiguous. `join` is the inverse for maps H
/// = rows * edge, W = columns * edge. No gradient.
struct Patches {
    enum class Direction { cut, join };
    Direction direction = Direction::cut;
    std::int64_t edge = 1;     ///< of cut
    std::int64_t rows = 1;     ///< of join
    std::int64_t columns = 1;  ///< of join

    static constexpr std::string_view name = "patches";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

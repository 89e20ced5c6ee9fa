#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Class shares from any numbers. Input: x [N,H,W,K]. Output f32 (f64 of f64): with u = max(x, floor), S =
/// sum u: p = u / max(S, least_sum). Backward: dx = [x >= floor] * (dp - [S >= least_sum] sum_k dp_k p_k) /
/// max(S, least_sum).
struct SimplexProjection {
    double floor = 1e-6;
    double least_sum = 0;  ///< bounds the factor 1 / S where all of x is below the floor; 0: no bound

    static constexpr std::string_view name = "simplex_projection";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

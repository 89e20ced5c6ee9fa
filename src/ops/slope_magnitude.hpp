#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Length of a gradient: input [N,H,W,2] = (gx, gy), output [N,H,W,1] = sqrt(gx^2 + gy^2 + 1e-12). `falling`
/// counts only what is positive of gx and gy, which with the kernels of HeightEncoding are heights that fall
/// to the right and downwards. No gradient.
struct SlopeMagnitude {
    enum class Counts { all, falling };
    Counts counts = Counts::all;

    static constexpr std::string_view name = "slope_magnitude";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Layer normalisation over the last dimension (Ba et al. 2016).
/// Inputs: x [..., C], scale [C], shift [C] (f32). Output: y = scale * (x - mean) / sqrt(variance + epsilon)
/// + shift, biased variance. Backward: dx = inverse_std * (g - mean(g) - xhat * mean(g * xhat)) with g =
/// scale * dy; dscale = sum dy * xhat; dshift = sum dy.
struct LayerNorm {
    double epsilon = 1e-6;

    static constexpr std::string_view name = "layer_norm";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

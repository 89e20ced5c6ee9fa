#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Stands between a network and its loss where gradients need another range than values (fp16). Inputs: x,
/// factor f32 [1] (state). Output: y = x. Backward: dx = factor * dy.
struct ScaleGradient {
    static constexpr std::string_view name = "scale_gradient";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

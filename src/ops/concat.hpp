#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Joins tensors along the channels. Inputs: x_i [N,H,W,C_i]. Output: [N,H,W,sum C_i]. Backward: dx_i is its
/// slice of dy.
struct Concat {
    static constexpr std::string_view name = "concat";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

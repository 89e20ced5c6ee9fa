#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// y = x * weight^T + bias. Inputs: x [..., C], weight [K, C] (f32 master), optionally bias [K]. Output: y
/// [..., K]. Backward: dx = dy * weight; dweight = dy^T * x; dbias = sum dy.
struct Linear {
    static constexpr std::string_view name = "linear";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

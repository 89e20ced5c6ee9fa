#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Product y = a * b, where b may be broadcast: each size of b equals a's or is 1 (a gate per pixel
/// [N,H,W,1], per channel [N,1,1,C], per sample [N,1,1,1]). b is f32 or of a's type. Backward: da = dy * b;
/// db = sum over the broadcast positions of dy * a.
struct Multiply {
    static constexpr std::string_view name = "multiply";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

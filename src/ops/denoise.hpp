#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// The estimate of the clean state: x - f. Inputs: x and the network's answer f, equal shapes and types.
/// Output f32 (f64 of f64), since differences of similar numbers follow. Backward: dx = dy, df = -dy.
struct Denoise {
    static constexpr std::string_view name = "denoise";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

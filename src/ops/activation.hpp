#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

enum class ActivationKind { relu, gelu, silu, sigmoid };

/// A pointwise non-linearity. Input: x. Output: y of the same shape.
///   relu: max(x, 0) · gelu: x * Phi(x), exact by erf · silu: x * sigmoid(x) · sigmoid: 1 / (1 + exp(-x))
/// Backward: dx = dy * f'(x); relu and sigmoid read y, gelu and silu read x. relu'(0) = 0.
struct Activation {
    ActivationKind kind = ActivationKind::relu;

    static constexpr std::string_view name = "activation";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

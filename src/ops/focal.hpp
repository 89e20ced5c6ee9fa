#pragma once

#include "ops/class_loss.hpp"

namespace terrane::ops {

/// Focal loss (Lin et al. 2017) in the frame of ops/class_loss.hpp. For a valid pixel of class t with weight
/// v = class_weights[t] (the paper's alpha) and p = softmax(upsampled logits):
///   loss = v * (1 - p[t])^gamma * -log p[t], summed over the pixels; gamma = 0 is cross-entropy.
/// With q = 1 - p[t], the derivative by logit c is v * (q^gamma - gamma p[t] q^(gamma - 1) log p[t]) * (p[c]
/// - [c = t]).
struct Focal {
    Corners corners = Corners::half_pixel;
    double gamma = 2;
    double loss_weight = 1;
    Denominator denominator = Denominator::valid;

    static constexpr std::string_view name = "focal";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Squared distance of an estimate from class shares (the mean squared error of a predicted residual is the
/// same number). Inputs: estimate [N,H,W,K], targets f32 [N,H,W,K] (ops::SoftTargets), class_weights f32 [K].
/// A pixel weighs w = sum_c class_weights_c target_c; void pixels, whose targets are zero, weigh nothing with
/// `masked` and 1 with `zero_vector`. Output f64 [2] = {sum w sum_c (estimate_c - target_c)^2 / K, sum w}.
/// Backward: destimate = loss_weight * w * 2 (estimate - target) / K.
struct BrierLoss {
    VoidPixels void_pixels = VoidPixels::masked;
    double loss_weight = 1;

    static constexpr std::string_view name = "brier_loss";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Losses of predicted class shares against soft targets, beside BrierLoss. Inputs: shares p [N,H,W,K],
/// targets f32 [N,H,W,K] (ops::SoftTargets), class_weights f32 [K]. With w the pixel weight of BrierLoss, and
/// sums over the pixels of one sample that are not masked:
///   cross_entropy: sum w (-log p_t), t the class of the largest target, the lowest of equal ones
///   dice:          sum over samples of (sum w) (1 - mean_c d_c), where
///                  d_c = (2 sum p_c g_c + smooth) / (sum p_c + sum g_c + smooth)
/// Output f64 [2] = {that, 0}: divided by BrierLoss's sum of weights both are means, of pixels and of
/// samples. Backward: dp_t = -loss_weight * w / p_t; dp_c = -loss_weight (sum w) / K * (2 g_c (P + smooth) -
/// (2 I + smooth)) / (P + smooth)^2 with I = sum p_c g_c, P = sum p_c + sum g_c.
struct ShareLoss {
    enum class Kind { cross_entropy, dice };

    Kind kind = Kind::cross_entropy;
    double smooth = 1;
    VoidPixels void_pixels = VoidPixels::masked;
    double loss_weight = 1;

    static constexpr std::string_view name = "share_loss";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

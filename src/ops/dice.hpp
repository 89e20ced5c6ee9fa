#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Soft Dice loss over the whole batch of all ranks, at the labels' resolution (upsampling fused in).
/// Inputs: logits [N,h,w,K], labels u8 [N,H,W], class_weights f32 [K] (state; only its use as normaliser, see
/// below). With p = softmax over valid pixels, I_c = sum p_c [t = c], S_c = sum p_c, T_c = sum [t = c]:
///   dice_c = (2 I_c + smooth) / (S_c + T_c + smooth); loss = 1 - mean over classes present in the labels of
///   dice_c.
/// The sums are exchanged between ranks before the loss. Output: f64 [2] = {loss * W / ranks, own W}, where W is the sum
/// of class_weights[t] over the valid pixels of all ranks and own W over this rank's: the optimizer step divides by the
/// same normaliser as for cross-entropy, so that this term enters with exactly loss_weight * loss.
/// With Denominator::all W is the number of all pixels, as for cross-entropy.
/// Backward: d(loss_weight * W * loss)/dlogits; each rank adds its own pixels' part.
struct Dice {
    Corners corners = Corners::half_pixel;
    double smooth = 1;
    double loss_weight = 1;
    Denominator denominator = Denominator::valid;

    static constexpr std::string_view name = "dice";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

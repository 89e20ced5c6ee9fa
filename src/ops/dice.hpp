#pragma once

#include "ops/class_loss.hpp"

namespace terrane::ops {

/// Soft Dice loss in the frame of ops/class_loss.hpp. With p = softmax, I_c = sum p_c [t = c], S_c = sum p_c,
/// T_c = sum [t = c] over the valid pixels:
///   dice_c = (2 I_c + smooth) / (S_c + T_c + smooth); loss = 1 - mean over classes of dice_c.
/// Over the batch the sums are exchanged between ranks and the mean goes over the classes that the labels
/// show. Over images (VesselSETR's form) every image has sums of its own, and the mean goes over all images
/// of all ranks and all classes, absent ones included. Either way N ranks do what one does.
struct Dice {
    Corners corners = Corners::half_pixel;
    double smooth = 1;
    ScoreOver over = ScoreOver::batch;
    double loss_weight = 1;
    Denominator denominator = Denominator::valid;

    static constexpr std::string_view name = "dice";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

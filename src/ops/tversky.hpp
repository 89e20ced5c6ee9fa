#pragma once

#include "ops/class_loss.hpp"

namespace terrane::ops {

/// Tversky loss (Salehi et al. 2017) and its focal variant (Abraham and Khan 2019), in the frame of
/// ops/class_loss.hpp. With p = softmax, I_c = sum p_c [t = c], S_c = sum p_c, T_c = sum [t = c] over the
/// valid pixels:
///   score_c = (I_c + smooth) / (I_c + alpha (S_c - I_c) + beta (T_c - I_c) + smooth);
///   loss = mean over classes of (1 - score_c)^exponent.
/// Over the batch the sums are exchanged between ranks and the mean goes over the classes that the labels
/// show; over images every image has sums of its own and the mean goes over all images of all ranks and all
/// classes. Either way N ranks do what one does. alpha = beta = 0.5 is Dice with twice the smoothing term.
struct Tversky {
    Corners corners = Corners::half_pixel;
    double alpha = 0.5;
    double beta = 0.5;
    double exponent = 1;
    double smooth = 1;
    ScoreOver over = ScoreOver::batch;
    double loss_weight = 1;
    Denominator denominator = Denominator::valid;

    static constexpr std::string_view name = "tversky";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

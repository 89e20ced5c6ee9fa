#pragma once

#include "ops/class_loss.hpp"

namespace terrane::ops {

/// Softmax cross-entropy at the labels' resolution, the bilinear upsampling of the logits fused in: no logits
/// of full resolution are ever stored. Inputs: logits [N,h,w,K], labels u8 [N,H,W], class_weights f32 [K]
/// (state). Output: f64 [2] = {sum of losses, sum of weights} over valid pixels (label != 255 and < K). For a
/// pixel of class t,
///   weight v = class_weights[t], p = softmax(upsampled logits), smoothing e:
///   loss = (1 - e) * v * -log p[t] + e * mean_c(v_c * -log p[c]), v_c = class_weights[c]
/// (PyTorch's definition of weighted label smoothing); the sum of weights adds v. With Denominator::all the
/// second output is the number of all pixels instead. All in fp32, sums in double. Backward: dlogits of
/// loss_weight * (sum of losses), not divided by anything: the optimizer step divides by the sum of weights
/// over all ranks and micro-steps, so that N ranks with batch B equal one rank with batch N * B.
struct CrossEntropy {
    Corners corners = Corners::half_pixel;
    double label_smoothing = 0;
    double loss_weight = 1;
    Denominator denominator = Denominator::valid;

    static constexpr std::string_view name = "cross_entropy";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

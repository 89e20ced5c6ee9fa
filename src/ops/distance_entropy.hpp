#pragma once

#include "ops/class_loss.hpp"

namespace terrane::ops {

/// Entropy of the prediction, weighted by a distance map: predictions are to be decided where the map says
/// that scribbles are near (or that a pseudo-label's contour is far). Inputs: logits [N,h,w,K], distances u8
/// [N,H,W]. With D = distance / 255 and p = softmax(logits upsampled to H x W):
///   loss = sum over pixels of D * -sum_c p_c log p_c, divided by the number of pixels with D > 0
/// in the frame of ops/class_loss.hpp with Denominator::samples: output f64 [2] = {own sum * samples / pixels
/// with D > 0 (both of all ranks), own samples}. Backward, with the entropy H of a pixel:
///   dlogit_c = loss_weight * samples / pixels * D * -p_c (log p_c + H).
struct DistanceEntropy {
    Corners corners = Corners::half_pixel;
    double loss_weight = 1;

    static constexpr Denominator denominator = Denominator::samples;
    static constexpr std::string_view name = "distance_entropy";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

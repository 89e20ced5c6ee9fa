#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// The most probable class at the labels' resolution (upsampling fused in; the lowest index wins a tie) and
/// the confusion matrix. Inputs: logits [N,h,w,K], labels u8 [N,H,W], confusion i64 [K,K] (state: row =
/// truth, column = prediction; valid pixels are added to it). Output: u8 [N,H,W]. Inference only.
struct Classify {
    Corners corners = Corners::half_pixel;

    static constexpr std::string_view name = "classify";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Class probabilities at a given resolution (bilinear upsampling of the logits fused in). Input: logits
/// [N,h,w,K]. Output: f32 [N,height,width,K]. Inference only.
struct Softmax {
    std::int64_t height = 1;
    std::int64_t width = 1;
    Corners corners = Corners::half_pixel;

    static constexpr std::string_view name = "softmax";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

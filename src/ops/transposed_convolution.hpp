#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// The data gradient of a convolution as a layer of its own (learned upsampling).
/// Inputs: x [N,H,W,C], weight [C,R,R,K] (f32), optionally bias [K]. Output: y [N,P,Q,K],
///   P = (H - 1) * stride - 2*padding + R + output_padding. Equals PyTorch's ConvTranspose2d with weight
///   [C,K,R,R].
/// Backward: dx is the convolution of dy with w; dw = sum x * dy; dbias = sum dy.
struct TransposedConvolution {
    std::int64_t kernel = 2;
    std::int64_t stride = 2;
    std::int64_t padding = 0;
    std::int64_t output_padding = 0;

    static constexpr std::string_view name = "transposed_convolution";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

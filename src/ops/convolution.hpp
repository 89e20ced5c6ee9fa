#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Two-dimensional cross-correlation, as networks call convolution.
/// Inputs: x [N,H,W,C], weight [K,R,R,C/groups] (f32 master), optionally bias [K] (f32). Output: y [N,P,Q,K]
/// in x's type,
///   y[n,p,q,k] = bias[k] + sum_{r,s,c} x[n, p*stride - padding + r*dilation, q*stride - padding +
///   s*dilation, c] * w[k,r,s,c]
/// with zeros outside; P = floor((H + 2*padding - dilation*(R-1) - 1) / stride) + 1, Q likewise.
/// Backward: dx is the transposed convolution of dy with w; dw[k,r,s,c] = sum_{n,p,q} dy * x; dbias =
/// sum_{n,p,q} dy.
struct Convolution {
    std::int64_t kernel = 3;
    std::int64_t stride = 1;
    std::int64_t padding = 1;
    std::int64_t dilation = 1;
    std::int64_t groups = 1;

    static constexpr std::string_view name = "convolution";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

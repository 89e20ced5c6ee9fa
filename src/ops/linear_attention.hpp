#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Multi-head attention whose cost is linear in the positions (Shen et al. 2021, as in the denoising U-Nets
/// of Ho et al.). Input: qkv [N,H,W,3 * heads * D], queries, keys, values, head by head. Output [N,H,W,heads
/// * D]. Per sample and head, with n over the H * W positions and d, e over the D channels:
///   q = softmax over d of q, times D^(-1/2);   k = softmax over n of k;
///   context[d,e] = sum_n k[d,n] v[e,n];        y[e,n] = sum_d context[d,e] q[d,n]
/// Backward reads qkv and computes the softmaxes again; the context and the keys' normalisers are kept.
struct LinearAttention {
    std::int64_t heads = 4;

    static constexpr std::string_view name = "linear_attention";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

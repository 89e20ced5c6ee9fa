#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// How queries, keys and values come in. Within each of the three the channels are head by head.
enum class AttentionInputs {
    packed,            ///< one input [..., 3 * C]: queries, then keys, then values (timm's and mmseg's qkv)
    keys_with_values,  ///< queries [..., C] and one input [..., 2 * C]: keys, then values
    separate,          ///< queries, keys and values [..., C], each an input of its own
};

/// Multi-head attention (Vaswani et al. 2017) without its projections. Tokens are the positions of a map or
/// of a list: inputs are [N, T, ...C] or [N, h, w, ...C] with T = h * w, so that maps need no change of
/// shape. Keys and values may have another number of tokens than the queries. Per sample and head, with d = C
/// / heads,
///   P = softmax over keys of (scale * Q K^T),  Y = drop(P) V,
/// Output: Y, shaped as the queries with C channels.
/// Dropout on P (training only) zeroes a probability and scales the rest by 1 / (1 - dropout); the draw of
/// global sample g, head a, query i, key j is that of element ((g * heads + a) * Tq + i) * Tk + j, see
/// Dropout. Backward, with M the dropout factors: dV = (P M)^T dY; dP = (dY V^T) M; dS = scale * P * (dP -
/// sum_j P dP); dQ = dS K; dK = dS^T Q. P is not saved but computed again, block of queries by block; fused
/// kernels read Y instead of the sums over P dP.
struct Attention {
    std::int64_t heads = 1;
    AttentionInputs form = AttentionInputs::packed;
    double scale = 0;  ///< 0: 1 / sqrt(d)
    double dropout = 0;
    std::uint64_t stream = 0;  ///< tells this layer's draws from other layers'

    static constexpr std::string_view name = "attention";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

/// Sizes of an attention, and where its operands lie among the inputs.
struct AttentionGeometry {
    AttentionGeometry(const Attention& op, std::span<const TensorSpec> inputs);

    /// One of queries, keys, values: the columns [offset, offset + heads * width) of rows of `stride`
    /// elements.
    struct Operand {
        std::size_t input;
        std::int64_t offset, stride;
    };
    std::int64_t batch, heads, width;  ///< width: channels per head
    std::int64_t queries, keys;        ///< tokens per sample
    double scale;
    Operand query, key, value;
};

}  // namespace terrane::ops

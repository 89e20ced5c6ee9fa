#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

enum class Transpose { no, yes };

/// Batched product of two activations, c = scale * op(a) * op(b). Inputs: a [B,M,K] (or [B,K,M] transposed),
/// b [B,K,N] (or [B,N,K] transposed). Output: c [B,M,N]. Backward: da = scale * dc * op(b)^T, db = scale *
/// op(a)^T * dc, each in the stored orientation.
struct MatMul {
    Transpose transpose_a = Transpose::no;
    Transpose transpose_b = Transpose::no;
    double scale = 1;

    static constexpr std::string_view name = "matmul";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

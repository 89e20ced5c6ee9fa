#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Adds a learned vector to every position, the same for all samples: y[n, t, :] = x[n, t, :] + p[0, skip +
/// t, :]. Inputs: x [N, ..., C] with T positions per sample, p [1, skip + T, C] (f32 master). Output: y as x.
/// `skip` rows of p belong to tokens that x does not hold (a class token). Backward: dx = dy; dp = sum of dy
/// over the samples, zero in the skipped rows.
struct PositionalEmbedding {
    std::int64_t skip = 0;

    static constexpr std::string_view name = "positional_embedding";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Fusion of M modality streams by learned gates, leaving out the modalities a sample lacks:
///   z[n,h,w,c] = sum_m presence[n,m] * sigmoid(gates[n,h,w,m]) * x_m[n,h,w,c].
/// Inputs: x_0 ... x_{M-1} [N,H,W,C], gates [N,H,W,M] (logits, same type), presence [N,...,M] (f32, no
/// gradient). Output: z. Backward: dx_m = presence * g * dz; dgates_m = presence * g * (1 - g) * sum_c dz *
/// x_m, with g = sigmoid(gates).
struct GatedSum {
    static constexpr std::string_view name = "gated_sum";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

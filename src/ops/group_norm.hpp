#pragma once

#include "ops/batch_norm.hpp"

namespace terrane::ops {

enum class Silu { no, yes };

/// Group normalisation: statistics per sample over height, width and the channels of one group (Wu and He
/// 2018), with the same fused tail as BatchNorm. Inputs: x [N,H,W,C], scale [C], shift [C], with `residual`
/// the tensor to add. Output: y = relu?(scale * (x - mean) * inverse_std + shift + residual?), or silu of
/// that. No running statistics, the same in training and inference. Backward as for batch norm with n = H * W
/// * C / groups and the sums weighted by scale.
struct GroupNorm {
    std::int64_t groups = 32;
    double epsilon = 1e-5;
    Rectify rectify = Rectify::no;
    Residual residual = Residual::no;
    Silu silu = Silu::no;  ///< x * sigmoid(x) at the end; neither with rectify nor with residual

    static constexpr std::string_view name = "group_norm";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

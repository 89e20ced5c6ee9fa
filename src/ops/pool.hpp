#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

enum class PoolKind { maximum, average };
/// How a window count that does not come out even is rounded.
enum class Rounding { floor, ceiling };

/// Maximum or average over windows. Input: x [N,H,W,C]. Output: y [N,P,Q,C], P = floor((H + 2*padding -
/// kernel) / stride) + 1, with `ceiling` rounded up instead (a window must still begin inside the input or
/// its left padding, as in PyTorch). Positions outside count as minus infinity (maximum) or are left out of
/// the divisor (average, PyTorch's count_include_pad=False). Backward of the maximum: dy goes to the first
/// largest element in row-major order, whose place in the window is kept as a byte in the plan's saved bytes.
struct Pool {
    PoolKind kind = PoolKind::maximum;
    std::int64_t kernel = 3;
    std::int64_t stride = 2;
    std::int64_t padding = 1;
    Rounding rounding = Rounding::floor;

    static constexpr std::string_view name = "pool";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

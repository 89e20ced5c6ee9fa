#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Average over a fixed number of bins, bin i of k over a length L being [floor(i*L/k), ceil((i+1)*L/k)),
/// which may overlap. height = width = 1 is the global average. Input: x [N,H,W,C]. Output: y
/// [N,height,width,C]. Backward: every x gets the sum over the bins that hold it of dy / bin size.
struct AdaptivePool {
    std::int64_t height = 1;
    std::int64_t width = 1;

    static constexpr std::string_view name = "adaptive_pool";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Bilinear resize of a map. Input: x [N,H,W,C]. Output: y [N,height,width,C]; weights in fp32.
/// Backward in gather form: dx sums dy times the weight with which it was read, in a fixed order.
struct Resize {
    std::int64_t height = 1;
    std::int64_t width = 1;
    Corners corners = Corners::half_pixel;

    static constexpr std::string_view name = "resize";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

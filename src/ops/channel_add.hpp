#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Adds one number per channel, of each sample or of all (a time embedding, a bias that the network
/// computes). Inputs: x [N,H,W,C], shift [N,C] or [1,C] of the same type. Output: x + shift. Backward: dx =
/// dy; dshift sums dy over the positions (and samples) that read it.
struct ChannelAdd {
    static constexpr std::string_view name = "channel_add";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// How a new proposal enters the state of the recursion. Inputs: previous and proposal [N,H,W,K] (f32), begin
/// f32 [1]: 1 where the recursion begins and the previous state counts nothing, else 0. Output: (1 - g)
/// previous + g proposal, per pixel:
///   average: g = gain
///   gated:   g = gain + (1 - gain) * sigmoid(sharpness * (H(previous) - H(proposal))), H the entropy / ln K:
///            the surer of the two counts more
/// Convex, so that a state on the simplex stays there. No gradient: the state is detached.
struct StateBlend {
    enum class Rule { average, gated };
    Rule rule = Rule::average;
    double gain = 0.5;
    double sharpness = 1;

    static constexpr std::string_view name = "state_blend";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

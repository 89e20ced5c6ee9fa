#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// The forward noise of the recursion. Inputs: state [N,H,W,K], t f32 [1], keys i64 [N] (one per sample).
/// Output of type `dtype`: clip(softmax over K of the state, or the state itself, + t * e, 0, 1) with
/// standard normal e. e is Philox(seed, (element, key, t)) only: it depends neither on ranks nor on a
/// sample's place in the batch. No gradient.
struct Diffuse {
    enum class Prior { softmax, state };
    Prior prior = Prior::softmax;
    DType dtype = DType::f32;

    static constexpr std::string_view name = "diffuse";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

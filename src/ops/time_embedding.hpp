#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// A number as sines and cosines of geometrically spaced frequencies (Vaswani et al. 2017). Input: t f32 [1].
/// Output [1, channels] of type `dtype`: sin(t f_0) ... sin(t f_h-1), cos(t f_0) ... cos(t f_h-1), with h =
/// channels / 2 and f_k = exp(-k ln(10000) / (h - 1)). No gradient.
struct TimeEmbedding {
    std::int64_t channels = 32;
    DType dtype = DType::f32;

    static constexpr std::string_view name = "time_embedding";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

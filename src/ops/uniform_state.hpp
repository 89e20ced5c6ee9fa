#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Where the recursion begins: numbers uniform in [0, 1), a function of seed, key and element. Input: keys
/// i64 [N]. Output f32 [N,height,width,channels]. No gradient.
struct UniformState {
    std::int64_t height = 1;
    std::int64_t width = 1;
    std::int64_t channels = 1;
    DType dtype = DType::f32;

    static constexpr std::string_view name = "uniform_state";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

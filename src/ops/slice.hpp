#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// The channels [begin, end) of a tensor. Backward: dx is dy there and zero elsewhere.
struct Slice {
    std::int64_t begin = 0;
    std::int64_t end = 0;

    static constexpr std::string_view name = "slice";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

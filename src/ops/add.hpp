#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Sum of two or more tensors of equal shape. Backward: every input's gradient is dy.
struct Add {
    static constexpr std::string_view name = "add";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

#include "ops/add.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Add::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() >= 2, "add takes at least two inputs");
    for (const TensorSpec& input : inputs) {
        TERRANE_ASSERT(input == inputs[0], "adding {} to {}", input.shape.text(), inputs[0].shape.text());
    }
    return {inputs[0]};
}

Cost Add::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {static_cast<double>(inputs.size() - 1) * static_cast<double>(results[0].shape.elements()),
            bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Add::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

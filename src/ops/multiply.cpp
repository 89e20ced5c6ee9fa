#include "ops/multiply.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Multiply::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 2 && inputs[0].shape.rank() == inputs[1].shape.rank(),
                   "multiply takes two tensors of equal rank");
    for (int i = 0; i < inputs[0].shape.rank(); ++i) {
        TERRANE_ASSERT(inputs[1].shape[i] == inputs[0].shape[i] || inputs[1].shape[i] == 1,
                       "{} can't be broadcast to {}", inputs[1].shape.text(), inputs[0].shape.text());
    }
    return {inputs[0]};
}

Cost Multiply::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {1.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Multiply::backward_needs() const {
    return {.inputs = 0b11, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/batch_norm.hpp"

namespace terrane::ops {

std::vector<TensorSpec> BatchNorm::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == (residual == Residual::yes ? 6u : 5u), "batch norm got {} inputs",
                   inputs.size());
    const Shape& x = inputs[0].shape;
    for (std::size_t i = 1; i < 5; ++i) {
        TERRANE_ASSERT(inputs[i].shape == Shape{x.channels()}, "batch norm input {} is {}", i,
                       inputs[i].shape.text());
    }
    TERRANE_ASSERT(residual == Residual::no || inputs[5] == inputs[0],
                   "the residual differs in shape or type");
    return {inputs[0]};
}

Cost BatchNorm::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {6.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds BatchNorm::backward_needs() const {
    return {.inputs = 0b1, .outputs = rectify == Rectify::yes ? 0b1u : 0u};
}

}  // namespace terrane::ops

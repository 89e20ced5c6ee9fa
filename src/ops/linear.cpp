#include "ops/linear.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Linear::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 2 || inputs.size() == 3, "linear takes x, weight and maybe bias");
    const Shape& x = inputs[0].shape;
    const Shape& weight = inputs[1].shape;
    TERRANE_ASSERT(weight.rank() == 2 && weight[1] == x.channels(), "weight {} does not fit {}",
                   weight.text(), x.text());
    TERRANE_ASSERT(inputs.size() == 2 || inputs[2].shape == Shape{weight[0]}, "bias {}",
                   inputs[2].shape.text());
    return {{inputs[0].dtype, x.with(x.rank() - 1, weight[0])}};
}

Cost Linear::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {2.0 * static_cast<double>(results[0].shape.elements() * inputs[0].shape.channels()),
            bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Linear::backward_needs() const {
    return {.inputs = 0b11, .outputs = 0};
}

}  // namespace terrane::ops

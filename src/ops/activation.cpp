#include "ops/activation.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Activation::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1, "an activation takes one input");
    return {inputs[0]};
}

Cost Activation::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {4.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Activation::backward_needs() const {
    return kind == ActivationKind::relu || kind == ActivationKind::sigmoid
               ? BackwardNeeds{.inputs = 0, .outputs = 0b1}
               : BackwardNeeds{.inputs = 0b1, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/dice.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Dice::outputs(std::span<const TensorSpec> inputs) const {
    return class_loss_outputs(name, inputs);
}

Cost Dice::cost(std::span<const TensorSpec> inputs) const {
    return class_loss_cost(inputs, 14.0);
}

BackwardNeeds Dice::backward_needs() const {
    return {.inputs = 0b111, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/tversky.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Tversky::outputs(std::span<const TensorSpec> inputs) const {
    return class_loss_outputs(name, inputs);
}

Cost Tversky::cost(std::span<const TensorSpec> inputs) const {
    return class_loss_cost(inputs, 14.0);
}

BackwardNeeds Tversky::backward_needs() const {
    return {.inputs = 0b111, .outputs = 0};
}

}  // namespace terrane::ops

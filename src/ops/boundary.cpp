#include "ops/boundary.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Boundary::outputs(std::span<const TensorSpec> inputs) const {
    return class_loss_outputs(name, inputs);
}

Cost Boundary::cost(std::span<const TensorSpec> inputs) const {
    return class_loss_cost(inputs, 60.0);
}

BackwardNeeds Boundary::backward_needs() const {
    return {.inputs = 0b111, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/focal.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Focal::outputs(std::span<const TensorSpec> inputs) const {
    return class_loss_outputs(name, inputs);
}

Cost Focal::cost(std::span<const TensorSpec> inputs) const {
    return class_loss_cost(inputs, 18.0);
}

BackwardNeeds Focal::backward_needs() const {
    return {.inputs = 0b111, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/lovasz.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Lovasz::outputs(std::span<const TensorSpec> inputs) const {
    return class_loss_outputs(name, inputs);
}

Cost Lovasz::cost(std::span<const TensorSpec> inputs) const {
    return class_loss_cost(inputs, 60.0);
}

BackwardNeeds Lovasz::backward_needs() const {
    return {.inputs = 0b111, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/cross_entropy.hpp"

namespace terrane::ops {

std::vector<TensorSpec> CrossEntropy::outputs(std::span<const TensorSpec> inputs) const {
    return class_loss_outputs(name, inputs);
}

Cost CrossEntropy::cost(std::span<const TensorSpec> inputs) const {
    return class_loss_cost(inputs, 12.0);
}

BackwardNeeds CrossEntropy::backward_needs() const {
    return {.inputs = 0b111, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/distance_entropy.hpp"

namespace terrane::ops {

std::vector<TensorSpec> DistanceEntropy::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 2 && inputs[0].shape.rank() == 4 && inputs[1].shape.rank() == 3 &&
                       inputs[0].shape[0] == inputs[1].shape[0] && inputs[1].dtype == DType::u8,
                   "{} takes logits and a distance map of the same samples", name);
    return {{DType::f64, Shape{2}}};
}

Cost DistanceEntropy::cost(std::span<const TensorSpec> inputs) const {
    return class_loss_cost(inputs, 14.0);
}

BackwardNeeds DistanceEntropy::backward_needs() const {
    return {.inputs = 0b11, .outputs = 0};
}

}  // namespace terrane::ops

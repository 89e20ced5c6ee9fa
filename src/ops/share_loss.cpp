#include "ops/share_loss.hpp"

namespace terrane::ops {

std::vector<TensorSpec> ShareLoss::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 3 && inputs[0].shape.rank() == 4 && inputs[0].shape == inputs[1].shape &&
                       inputs[2].shape == Shape{inputs[0].shape.channels()},
                   "a share loss takes shares, targets and class weights");
    return {{DType::f64, Shape{2}}};
}

Cost ShareLoss::cost(std::span<const TensorSpec> inputs) const {
    return {4.0 * static_cast<double>(inputs[0].shape.elements()), bytes_of(inputs)};
}

BackwardNeeds ShareLoss::backward_needs() const {
    return {.inputs = 0b111, .outputs = 0};
}

}  // namespace terrane::ops

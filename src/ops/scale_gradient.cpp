#include "ops/scale_gradient.hpp"

namespace terrane::ops {

std::vector<TensorSpec> ScaleGradient::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(
        inputs.size() == 2 && inputs[1].shape == Shape{1} && inputs[1].dtype == real_type(inputs[0].dtype),
        "scale gradient takes a tensor and one factor");
    return {inputs[0]};
}

Cost ScaleGradient::cost(std::span<const TensorSpec> inputs) const {
    return {static_cast<double>(inputs[0].shape.elements()), 2 * bytes_of(inputs.first(1))};
}

BackwardNeeds ScaleGradient::backward_needs() const {
    return {.inputs = 0b10, .outputs = 0};
}

}  // namespace terrane::ops

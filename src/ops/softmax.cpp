#include "ops/softmax.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Softmax::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && inputs[0].shape.rank() == 4, "softmax takes NHWC logits");
    const Shape& logits = inputs[0].shape;
    return {{DType::f32, Shape{logits.batch(), height, width, logits.channels()}}};
}

Cost Softmax::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {12.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Softmax::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

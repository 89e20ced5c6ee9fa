#include "ops/resize.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Resize::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && inputs[0].shape.rank() == 4, "resize takes one NHWC input");
    const Shape& x = inputs[0].shape;
    return {{inputs[0].dtype, Shape{x.batch(), height, width, x.channels()}}};
}

Cost Resize::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {8.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Resize::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

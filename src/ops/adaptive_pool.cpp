#include "ops/adaptive_pool.hpp"

namespace terrane::ops {

std::vector<TensorSpec> AdaptivePool::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && inputs[0].shape.rank() == 4,
                   "adaptive pooling takes one NHWC input");
    const Shape& x = inputs[0].shape;
    return {{inputs[0].dtype, Shape{x.batch(), height, width, x.channels()}}};
}

Cost AdaptivePool::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {static_cast<double>(inputs[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds AdaptivePool::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

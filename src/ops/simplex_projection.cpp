#include "ops/simplex_projection.hpp"

namespace terrane::ops {

std::vector<TensorSpec> SimplexProjection::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && floor > 0, "a projection takes one map and a positive floor");
    return {{real_type(inputs[0].dtype), inputs[0].shape}};
}

Cost SimplexProjection::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {6.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds SimplexProjection::backward_needs() const {
    return {.inputs = 0b1, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/slope_magnitude.hpp"

namespace terrane::ops {

std::vector<TensorSpec> SlopeMagnitude::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && inputs[0].shape.rank() == 4 && inputs[0].shape.channels() == 2,
                   "slope magnitude takes gx and gy");
    return {{inputs[0].dtype, inputs[0].shape.with(3, 1)}};
}

Cost SlopeMagnitude::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {6.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds SlopeMagnitude::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

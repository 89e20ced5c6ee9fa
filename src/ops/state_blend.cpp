#include "ops/state_blend.hpp"

namespace terrane::ops {

std::vector<TensorSpec> StateBlend::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 3 && inputs[0] == inputs[1] && inputs[2].shape == Shape{1},
                   "a blend takes two states and a flag");
    return {inputs[0]};
}

Cost StateBlend::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {40.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds StateBlend::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

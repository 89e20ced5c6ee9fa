#include "ops/layer_norm.hpp"

namespace terrane::ops {

std::vector<TensorSpec> LayerNorm::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 3, "layer norm takes x, scale, shift");
    const Shape channels{inputs[0].shape.channels()};
    TERRANE_ASSERT(inputs[1].shape == channels && inputs[2].shape == channels, "scale or shift is not {}",
                   channels.text());
    return {inputs[0]};
}

Cost LayerNorm::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {8.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds LayerNorm::backward_needs() const {
    return {.inputs = 0b11, .outputs = 0};
}

}  // namespace terrane::ops

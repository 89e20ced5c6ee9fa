#include "ops/group_norm.hpp"

namespace terrane::ops {

std::vector<TensorSpec> GroupNorm::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == (residual == Residual::yes ? 4u : 3u), "group norm got {} inputs",
                   inputs.size());
    const Shape& x = inputs[0].shape;
    TERRANE_ASSERT(groups > 0 && x.channels() % groups == 0, "{} channels in {} groups", x.channels(),
                   groups);
    TERRANE_ASSERT(inputs[1].shape == Shape{x.channels()} && inputs[2].shape == Shape{x.channels()},
                   "scale or shift does not have {} channels", x.channels());
    TERRANE_ASSERT(residual == Residual::no || inputs[3] == inputs[0],
                   "the residual differs in shape or type");
    TERRANE_ASSERT(silu == Silu::no || (rectify == Rectify::no && residual == Residual::no),
                   "a SiLU stands alone behind a group norm");
    return {inputs[0]};
}

Cost GroupNorm::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {6.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds GroupNorm::backward_needs() const {
    return {.inputs = 0b11, .outputs = rectify == Rectify::yes ? 0b1u : 0u};
}

}  // namespace terrane::ops

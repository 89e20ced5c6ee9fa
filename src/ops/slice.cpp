#include "ops/slice.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Slice::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1, "slice takes one input");
    const Shape& x = inputs[0].shape;
    TERRANE_ASSERT(begin >= 0 && begin < end && end <= x.channels(), "channels [{}, {}) of {}", begin, end,
                   x.text());
    return {{inputs[0].dtype, x.with(x.rank() - 1, end - begin)}};
}

Cost Slice::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {0.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Slice::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

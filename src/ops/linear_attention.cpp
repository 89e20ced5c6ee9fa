#include "ops/linear_attention.hpp"

namespace terrane::ops {

std::vector<TensorSpec> LinearAttention::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(
        inputs.size() == 1 && inputs[0].shape.rank() == 4 && inputs[0].shape.channels() % (3 * heads) == 0,
        "linear attention takes queries, keys and values of {} heads", heads);
    const Shape& qkv = inputs[0].shape;
    return {{inputs[0].dtype, qkv.with(3, qkv.channels() / 3)}};
}

Cost LinearAttention::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {(4.0 * static_cast<double>(results[0].shape.channels() / heads) + 12) *
                static_cast<double>(results[0].shape.elements()),
            bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds LinearAttention::backward_needs() const {
    return {.inputs = 0b1, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/diffuse.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Diffuse::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 3 && inputs[0].shape.rank() == 4 && inputs[1].shape == Shape{1} &&
                       inputs[2].dtype == DType::i64 && inputs[2].shape == Shape{inputs[0].shape.batch()},
                   "diffuse takes a state, a time and a key per sample");
    return {{dtype, inputs[0].shape}};
}

Cost Diffuse::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {60.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Diffuse::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

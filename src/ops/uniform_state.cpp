#include "ops/uniform_state.hpp"

namespace terrane::ops {

std::vector<TensorSpec> UniformState::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && inputs[0].dtype == DType::i64 && inputs[0].shape.rank() == 1,
                   "a uniform state takes a key per sample");
    return {{dtype, Shape{inputs[0].shape[0], height, width, channels}}};
}

Cost UniformState::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {20.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds UniformState::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

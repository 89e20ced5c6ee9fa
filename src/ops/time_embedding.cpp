#include "ops/time_embedding.hpp"

namespace terrane::ops {

std::vector<TensorSpec> TimeEmbedding::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && inputs[0].shape == Shape{1} && channels >= 4 && channels % 2 == 0,
                   "a time embedding takes one number and gives an even number of channels");
    return {{dtype, Shape{1, channels}}};
}

Cost TimeEmbedding::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {20.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds TimeEmbedding::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

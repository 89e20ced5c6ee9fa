#include "ops/positional_embedding.hpp"

namespace terrane::ops {

std::vector<TensorSpec> PositionalEmbedding::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 2 && skip >= 0, "a positional embedding takes x and the embedding");
    const Shape& x = inputs[0].shape;
    TERRANE_ASSERT(x.rank() >= 3, "{} has no positions", x.text());
    const Shape expected{1, skip + x.pixels() / x.batch(), x.channels()};
    TERRANE_ASSERT(inputs[1].shape == expected, "an embedding {} for {}", inputs[1].shape.text(), x.text());
    return {inputs[0]};
}

Cost PositionalEmbedding::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {1.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds PositionalEmbedding::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

#include "ops/concat.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Concat::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(!inputs.empty(), "concat of nothing");
    const Shape& first = inputs[0].shape;
    std::int64_t channels = 0;
    for (const TensorSpec& input : inputs) {
        TERRANE_ASSERT(input.shape.with(input.shape.rank() - 1, 1) == first.with(first.rank() - 1, 1) &&
                           input.dtype == inputs[0].dtype,
                       "{} can't be joined to {}", input.shape.text(), first.text());
        channels += input.shape.channels();
    }
    return {{inputs[0].dtype, first.with(first.rank() - 1, channels)}};
}

Cost Concat::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {0.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Concat::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

#include "ops/dropout.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Dropout::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && probability >= 0 && probability < 1, "dropout with probability {}",
                   probability);
    return {inputs[0]};
}

Cost Dropout::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {1.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Dropout::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

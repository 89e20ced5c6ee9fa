#include "ops/denoise.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Denoise::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 2 && inputs[0] == inputs[1], "denoise takes two maps of one shape");
    return {{real_type(inputs[0].dtype), inputs[0].shape}};
}

Cost Denoise::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {1.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Denoise::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

#include "ops/soft_targets.hpp"

namespace terrane::ops {

std::vector<TensorSpec> SoftTargets::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && inputs[0].shape.rank() == 3 && inputs[0].dtype == DType::u8,
                   "soft targets take labels");
    return {{dtype, Shape{inputs[0].shape[0], height, width, classes}}};
}

Cost SoftTargets::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {4.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds SoftTargets::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

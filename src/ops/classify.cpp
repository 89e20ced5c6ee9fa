#include "ops/classify.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Classify::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 3, "classify takes logits, labels and the confusion matrix");
    const Shape& logits = inputs[0].shape;
    TERRANE_ASSERT(
        (inputs[2].shape == Shape{logits.channels(), logits.channels()}) && inputs[1].shape[0] == logits[0],
        "confusion matrix {} or labels {} do not fit logits {}", inputs[2].shape.text(),
        inputs[1].shape.text(), logits.text());
    return {{DType::u8, inputs[1].shape}};
}

Cost Classify::cost(std::span<const TensorSpec> inputs) const {
    const double pixels = static_cast<double>(inputs[1].shape.elements());
    return {pixels * static_cast<double>(inputs[0].shape.channels()) * 9.0, bytes_of(inputs)};
}

BackwardNeeds Classify::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

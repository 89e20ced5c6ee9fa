#include "ops/dice.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Dice::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 3, "Dice takes logits, labels and class weights");
    const Shape& logits = inputs[0].shape;
    const Shape& labels = inputs[1].shape;
    TERRANE_ASSERT(logits.rank() == 4 && labels.rank() == 3 && labels[0] == logits[0] &&
                       inputs[1].dtype == DType::u8 && inputs[2].shape == Shape{logits.channels()},
                   "logits {} and labels {} do not fit", logits.text(), labels.text());
    return {{DType::f64, Shape{2}}};
}

Cost Dice::cost(std::span<const TensorSpec> inputs) const {
    const double pixels = static_cast<double>(inputs[1].shape.elements());
    return {pixels * static_cast<double>(inputs[0].shape.channels()) * 14.0, bytes_of(inputs)};
}

BackwardNeeds Dice::backward_needs() const {
    return {.inputs = 0b111, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/class_loss.hpp"

namespace terrane::ops {

std::vector<TensorSpec> class_loss_outputs(std::string_view loss, std::span<const TensorSpec> inputs) {
    TERRANE_ASSERT(inputs.size() == 3, "{} takes logits, labels and class weights", loss);
    const Shape& logits = inputs[0].shape;
    const Shape& labels = inputs[1].shape;
    TERRANE_ASSERT(logits.rank() == 4 && labels.rank() == 3 && labels[0] == logits[0] &&
                       inputs[1].dtype == DType::u8 && logits.channels() < ignore_label,
                   "{}: logits {} and labels {} do not fit", loss, logits.text(), labels.text());
    TERRANE_ASSERT(inputs[2].shape == Shape{logits.channels()}, "{}: class weights {}", loss,
                   inputs[2].shape.text());
    return {{DType::f64, Shape{2}}};
}

Cost class_loss_cost(std::span<const TensorSpec> inputs, double flops) {
    const double pixels = static_cast<double>(inputs[1].shape.elements());
    return {pixels * static_cast<double>(inputs[0].shape.channels()) * flops, bytes_of(inputs)};
}

}  // namespace terrane::ops

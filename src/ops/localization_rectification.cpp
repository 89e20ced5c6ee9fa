#include "ops/localization_rectification.hpp"

namespace terrane::ops {

std::vector<TensorSpec> LocalizationRectification::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 5, "{} takes features, queries, keys, gamma and a class map", name);
    const Shape& x = inputs[0].shape;
    const Shape& q = inputs[1].shape;
    const Shape& map = inputs[4].shape;
    TERRANE_ASSERT(x.rank() == 4 && q.rank() == 4 && q == inputs[2].shape && x.batch() == q.batch() &&
                       x.height() == q.height() && x.width() == q.width(),
                   "{}: features {}, queries {} and keys {} do not fit", name, x.text(), q.text(),
                   inputs[2].shape.text());
    TERRANE_ASSERT(
        inputs[3].shape == Shape{1} && map.rank() == 3 && map[0] == x.batch() && inputs[4].dtype == DType::u8,
        "{}: gamma {} and class map {} do not fit", name, inputs[3].shape.text(), map.text());
    return {{DType::f64, Shape{2}}};
}

Cost LocalizationRectification::cost(std::span<const TensorSpec> inputs) const {
    const Shape& x = inputs[0].shape;
    const double tokens = static_cast<double>(x.height() * x.width());
    const double width = static_cast<double>(x.channels() + inputs[1].shape.channels());
    return {static_cast<double>(x.batch()) * tokens * tokens * 2.0 * width, bytes_of(inputs)};
}

BackwardNeeds LocalizationRectification::backward_needs() const {
    return {.inputs = 0b11111, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/height_encoding.hpp"

namespace terrane::ops {

std::vector<TensorSpec> HeightEncoding::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT((inputs.size() == 1 || inputs.size() == 2) && inputs[0].shape.rank() == 4 &&
                       inputs[0].shape.channels() == 1 && shrink >= 1 && inputs[0].shape.height() >= shrink &&
                       inputs[0].shape.width() >= shrink,
                   "height encoding takes one band of at least {} x {} pixels", shrink, shrink);
    const Shape& height = inputs[0].shape;
    TERRANE_ASSERT(inputs.size() == 1 ||
                       (inputs[1].shape.rank() == 4 && inputs[1].shape.channels() == 1 &&
                        inputs[1].dtype == inputs[0].dtype && height.batch() % inputs[1].shape.batch() == 0),
                   "the range of heights is that of one band, for as many or fewer samples");
    return {{inputs[0].dtype, Shape{height.batch(), height.height() / shrink, height.width() / shrink,
                                    position_channels + 3}}};
}

Cost HeightEncoding::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {20.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds HeightEncoding::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

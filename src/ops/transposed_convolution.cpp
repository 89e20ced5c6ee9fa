#include "ops/transposed_convolution.hpp"

namespace terrane::ops {

std::vector<TensorSpec> TransposedConvolution::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 2 || inputs.size() == 3,
                   "transposed convolution takes x, weight and maybe bias");
    const Shape& x = inputs[0].shape;
    const Shape& weight = inputs[1].shape;
    TERRANE_ASSERT(x.rank() == 4 && weight.rank() == 4 && weight[0] == x.channels() && weight[1] == kernel &&
                       weight[2] == kernel,
                   "weight {} does not fit input {} and kernel {}", weight.text(), x.text(), kernel);
    TERRANE_ASSERT(output_padding < stride, "output padding {} at stride {}", output_padding, stride);
    const auto size = [&](std::int64_t in) {
        return (in - 1) * stride - 2 * padding + kernel + output_padding;
    };
    return {{inputs[0].dtype, Shape{x.batch(), size(x.height()), size(x.width()), weight[3]}}};
}

Cost TransposedConvolution::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    const Shape& weight = inputs[1].shape;
    const double per_input = 2.0 * static_cast<double>(weight[1] * weight[2] * weight[3]);
    return {per_input * static_cast<double>(inputs[0].shape.elements()),
            bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds TransposedConvolution::backward_needs() const {
    return {.inputs = 0b11, .outputs = 0};
}

}  // namespace terrane::ops

#include "ops/convolution.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Convolution::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 2 || inputs.size() == 3, "convolution takes x, weight and maybe bias");
    const Shape& x = inputs[0].shape;
    const Shape& weight = inputs[1].shape;
    TERRANE_ASSERT(x.rank() == 4 && weight.rank() == 4, "convolution of {} with {}", x.text(), weight.text());
    TERRANE_ASSERT(weight[1] == kernel && weight[2] == kernel && weight[3] * groups == x.channels() &&
                       weight[0] % groups == 0,
                   "weight {} does not fit input {}, kernel {}, groups {}", weight.text(), x.text(), kernel,
                   groups);
    TERRANE_ASSERT(inputs.size() == 2 || inputs[2].shape == Shape{weight[0]}, "bias {}",
                   inputs[2].shape.text());
    const std::int64_t reach = dilation * (kernel - 1) + 1;
    const std::int64_t height = (x.height() + 2 * padding - reach) / stride + 1;
    const std::int64_t width = (x.width() + 2 * padding - reach) / stride + 1;
    TERRANE_ASSERT(x.height() + 2 * padding >= reach && x.width() + 2 * padding >= reach,
                   "a kernel reaching over {} pixels is larger than the padded input {}", reach, x.text());
    return {{inputs[0].dtype, Shape{x.batch(), height, width, weight[0]}}};
}

Cost Convolution::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    const Shape& weight = inputs[1].shape;
    const double per_output = 2.0 * static_cast<double>(weight[1] * weight[2] * weight[3]);
    return {per_output * static_cast<double>(results[0].shape.elements()),
            bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Convolution::backward_needs() const {
    return {.inputs = 0b11, .outputs = 0};
}

}  // namespace terrane::ops

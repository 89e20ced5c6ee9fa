#include "ops/matmul.hpp"

namespace terrane::ops {

std::vector<TensorSpec> MatMul::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 2 && inputs[0].shape.rank() == 3 && inputs[1].shape.rank() == 3,
                   "matmul takes two rank-3 inputs");
    const Shape& a = inputs[0].shape;
    const Shape& b = inputs[1].shape;
    const bool turned_a = transpose_a == Transpose::yes;
    const bool turned_b = transpose_b == Transpose::yes;
    TERRANE_ASSERT(a[0] == b[0] && a[turned_a ? 1 : 2] == b[turned_b ? 2 : 1], "{} times {}", a.text(),
                   b.text());
    return {{inputs[0].dtype, Shape{a[0], a[turned_a ? 2 : 1], b[turned_b ? 1 : 2]}}};
}

Cost MatMul::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    const std::int64_t inner = inputs[0].shape[transpose_a == Transpose::yes ? 1 : 2];
    return {2.0 * static_cast<double>(results[0].shape.elements() * inner),
            bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds MatMul::backward_needs() const {
    return {.inputs = 0b11, .outputs = 0};
}

}  // namespace terrane::ops

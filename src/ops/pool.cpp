#include "ops/pool.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Pool::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && inputs[0].shape.rank() == 4, "pooling takes one NHWC input");
    const Shape& x = inputs[0].shape;
    TERRANE_ASSERT(2 * padding <= kernel && kernel <= 15, "padding {} of a window of {}", padding, kernel);
    const auto size = [&](std::int64_t in) {
        const std::int64_t span = in + 2 * padding - kernel;
        TERRANE_ASSERT(span >= 0, "a window of {} is larger than the padded input {}", kernel, x.text());
        std::int64_t out = (span + (rounding == Rounding::ceiling ? stride - 1 : 0)) / stride + 1;
        if (rounding == Rounding::ceiling && (out - 1) * stride >= in + padding) --out;
        return out;
    };
    return {{inputs[0].dtype, Shape{x.batch(), size(x.height()), size(x.width()), x.channels()}}};
}

Cost Pool::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {static_cast<double>(kernel * kernel) * static_cast<double>(results[0].shape.elements()),
            bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Pool::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

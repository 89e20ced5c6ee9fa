#include "ops/gated_sum.hpp"

namespace terrane::ops {

std::vector<TensorSpec> GatedSum::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() >= 3, "gated sum takes at least one stream, gates and presence");
    const std::size_t streams = inputs.size() - 2;
    const auto count = static_cast<std::int64_t>(streams);
    const Shape& x = inputs[0].shape;
    for (std::size_t i = 1; i < streams; ++i)
        TERRANE_ASSERT(inputs[i] == inputs[0], "stream {} differs in shape or type", i);
    TERRANE_ASSERT(inputs[streams].shape == x.with(3, count), "gates are {}", inputs[streams].shape.text());
    const Shape& presence = inputs[streams + 1].shape;
    TERRANE_ASSERT(presence[0] == x.batch() && presence.elements() == x.batch() * count, "presence is {}",
                   presence.text());
    return {inputs[0]};
}

Cost GatedSum::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {2.0 * static_cast<double>(inputs.size() - 2) * static_cast<double>(results[0].shape.elements()),
            bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds GatedSum::backward_needs() const {
    return {.inputs = 0xffffffffu, .outputs = 0};
}

}  // namespace terrane::ops

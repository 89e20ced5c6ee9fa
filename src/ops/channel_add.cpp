#include "ops/channel_add.hpp"

namespace terrane::ops {

std::vector<TensorSpec> ChannelAdd::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 2 && inputs[0].shape.rank() == 4 && inputs[1].shape.rank() == 2,
                   "channel add takes a map and a shift");
    const Shape& x = inputs[0].shape;
    const Shape& shift = inputs[1].shape;
    TERRANE_ASSERT(shift[1] == x.channels() && (shift[0] == 1 || shift[0] == x.batch()),
                   "shift {} does not fit {}", shift.text(), x.text());
    return {inputs[0]};
}

Cost ChannelAdd::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {1.0 * static_cast<double>(results[0].shape.elements()), bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds ChannelAdd::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

#include "ops/patches.hpp"

namespace terrane::ops {

std::vector<TensorSpec> Patches::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 1 && inputs[0].shape.rank() == 4, "patches are cut from maps");
    const Shape& x = inputs[0].shape;
    if (direction == Direction::cut) {
        TERRANE_ASSERT(edge > 0 && x.height() % edge == 0 && x.width() % edge == 0, "{} in patches of {}",
                       x.text(), edge);
        return {{inputs[0].dtype,
                 Shape{x.batch() * (x.height() / edge) * (x.width() / edge), edge, edge, x.channels()}}};
    }
    TERRANE_ASSERT(rows > 0 && columns > 0 && x.batch() % (rows * columns) == 0, "{} as {} x {} patches",
                   x.text(), rows, columns);
    return {{inputs[0].dtype,
             Shape{x.batch() / (rows * columns), x.height() * rows, x.width() * columns, x.channels()}}};
}

Cost Patches::cost(std::span<const TensorSpec> inputs) const {
    const std::vector<TensorSpec> results = outputs(inputs);
    return {0, bytes_of(inputs) + bytes_of(results)};
}

BackwardNeeds Patches::backward_needs() const {
    return {};
}

}  // namespace terrane::ops

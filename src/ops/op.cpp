#include "ops/op.hpp"

namespace terrane::ops {

OpDescriptor describe(const Op& op, std::vector<TensorSpec> inputs) {
    auto outputs = std::visit([&](const auto& kind) { return kind.outputs(inputs); }, op);
    return {op, std::move(inputs), std::move(outputs)};
}

std::string_view name_of(const Op& op) {
    return std::visit([](const auto& kind) { return kind.name; }, op);
}

Cost cost_of(const OpDescriptor& descriptor) {
    return std::visit([&](const auto& kind) { return kind.cost(descriptor.inputs); }, descriptor.op);
}

BackwardNeeds backward_needs_of(const Op& op) {
    return std::visit([](const auto& kind) { return kind.backward_needs(); }, op);
}

double loss_weight_of(const Op& op) {
    return std::visit(
        [](const auto& kind) {
            if constexpr (requires { kind.loss_weight; }) return kind.loss_weight;
            return 1.0;
        },
        op);
}

}  // namespace terrane::ops

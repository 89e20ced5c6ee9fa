#include "ops/kernel_discrepancy.hpp"

namespace terrane::ops {

std::vector<TensorSpec> KernelDiscrepancy::outputs(std::span<const TensorSpec> inputs) const {
    TERRANE_ASSERT(inputs.size() == 3 && inputs[0].shape.rank() == 4 && inputs[0].shape == inputs[1].shape &&
                       inputs[2].shape == Shape{inputs[0].shape.channels()},
                   "a discrepancy takes shares, targets and class weights");
    TERRANE_ASSERT(targets == Targets::sampled ||
                       ((parts == 1 || parts == 4) && atoms(inputs[0].shape.channels()) <= most_atoms),
                   "too many target vectors for atoms: {}", atoms(inputs[0].shape.channels()));
    return {{DType::f64, Shape{2}}};
}

Cost KernelDiscrepancy::cost(std::span<const TensorSpec> inputs) const {
    return {static_cast<double>(max_samples * max_samples * (5 * inputs[0].shape.channels() + 8)),
            bytes_of(inputs)};
}

BackwardNeeds KernelDiscrepancy::backward_needs() const {
    return {};
}

std::int64_t KernelDiscrepancy::atoms(std::int64_t classes) const {
    std::int64_t ways = 1;  // multisets of `parts` classes: (classes + parts - 1) over parts
    for (std::int64_t i = 0; i < parts; ++i) ways = ways * (classes + i) / (i + 1);
    return ways + 1;
}

}  // namespace terrane::ops

#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

enum class DropoutKind { element, channel };

/// Training: zeroes each element (or each whole channel of a sample) with the given probability and scales
/// the rest by 1 / (1 - probability); inference: the identity. Input: x. Output: y. The draw of element e of
/// global sample g, with i = g * elements per sample + e, is word i % 4 of Philox(seed, stream ^ step, i /
/// 4): it depends neither on the rank that holds the sample nor on the device. Backward draws again and
/// stores nothing.
struct Dropout {
    double probability = 0.1;
    DropoutKind kind = DropoutKind::element;
    std::uint64_t stream = 0;  ///< tells this layer's draws from other layers'

    static constexpr std::string_view name = "dropout";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

#pragma once

#include <cstdint>

#include "base/philox.hpp"
#include "formulas/host_device.hpp"

namespace terrane::formulas {

/// Whether dropout keeps element `element` of global sample `sample`: the first word of
/// Philox(seed, stream ^ step, sample * elements + element). With DropoutKind::channel an element is a
/// channel and `elements` the number of channels.
TERRANE_HOST_DEVICE inline bool dropout_keeps(std::uint64_t seed, std::uint64_t stream, std::int64_t step,
                                              std::int64_t sample, std::int64_t elements,
                                              std::int64_t element, double probability) {
    const auto index = static_cast<std::uint64_t>(sample * elements + element);
    const auto words = Philox::draw(seed, stream ^ static_cast<std::uint64_t>(step), index);
    return Philox::uniform(words[0]) >= static_cast<float>(probability);
}

}  // namespace terrane::formulas

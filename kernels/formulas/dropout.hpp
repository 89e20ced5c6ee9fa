#pragma once

#include <cstdint>

#include "base/philox.hpp"
#include "formulas/host_device.hpp"

namespace terrane::formulas {

/// Numbers that one draw gives: neighbouring elements share it.
inline constexpr std::int64_t dropout_words = 4;

/// Whether dropout keeps element `element` of global sample `sample`. With i = sample * elements + element:
/// word i % 4 of Philox(seed, stream ^ step, i / 4) decides. With DropoutKind::channel an element is a
/// channel and `elements` the number of channels.
TERRANE_HOST_DEVICE inline bool dropout_keeps(std::uint64_t seed, std::uint64_t stream, std::int64_t step,
                                              std::int64_t sample, std::int64_t elements,
                                              std::int64_t element, double probability) {
    const auto index = static_cast<std::uint64_t>(sample * elements + element);
    const auto words = Philox::draw(seed, stream ^ static_cast<std::uint64_t>(step), index / 4);
    return Philox::uniform(words[index % 4]) >= static_cast<float>(probability);
}

/// The same for `width` neighbouring elements, the first of which has the index `first` (i above).
template <int width>
TERRANE_HOST_DEVICE inline void dropout_keeps_each(std::uint64_t seed, std::uint64_t stream,
                                                   std::int64_t step, std::int64_t first, double probability,
                                                   bool (&keeps)[width]) {
    const std::uint64_t mixed = stream ^ static_cast<std::uint64_t>(step);
    const auto begin = static_cast<std::uint64_t>(first);
    const float least = static_cast<float>(probability);
    if constexpr (width % 4 == 0) {
        if (begin % 4 == 0) {  // indices of words are known while compiling: all stays in registers
            for (int i = 0; i < width; i += 4) {
                const auto words = Philox::draw(seed, mixed, begin / 4 + static_cast<std::uint64_t>(i / 4));
                keeps[i] = Philox::uniform(words[0]) >= least;
                keeps[i + 1] = Philox::uniform(words[1]) >= least;
                keeps[i + 2] = Philox::uniform(words[2]) >= least;
                keeps[i + 3] = Philox::uniform(words[3]) >= least;
            }
            return;
        }
    }
    Philox::Counter words{};
    for (int i = 0; i < width; ++i) {
        const std::uint64_t index = begin + static_cast<std::uint64_t>(i);
        if (i == 0 || index % 4 == 0) words = Philox::draw(seed, mixed, index / 4);
        keeps[i] = Philox::uniform(words[index % 4]) >= least;
    }
}

}  // namespace terrane::formulas

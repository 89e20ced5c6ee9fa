#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "device/flat_kernels.hpp"
#include "tensor/shape.hpp"

namespace terrane::optim {

/// A trainable tensor's place in the flat buffers, in elements.
struct ParameterPlace {
    std::string name;
    Shape shape;
    std::int64_t offset = 0;
};

/// Multipliers of rate and weight decay for every parameter, as segments of the flat buffers. Each parameter
/// takes them from the first rule whose regular expression (ECMAScript, searched anywhere in the name)
/// matches, else 1 and 1. Biases and the scales and shifts of norms, i.e. all parameters of less than two
/// dimensions, are never decayed, whatever the rule says: pulling them to zero fights the normalisation and
/// is left out by the common recipes. Neighbours with equal multipliers become one segment. Throws Error
/// E0512 (78) naming a rule that matches no parameter or is no regular expression.
std::vector<device::UpdateSegment> make_segments(std::span<const ParameterPlace> parameters,
                                                 std::span<const config::ParameterGroup> rules);

}  // namespace terrane::optim

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/optim.hpp"
#include "device/flat_kernels.hpp"
#include "tensor/shape.hpp"

namespace terrane::optim {

/// A trainable tensor's place in the flat buffers, in elements.
struct ParameterPlace {
    std::string name;
    Shape shape;
    std::int64_t offset = 0;
};

/// Which parameters a weight decay pulls at: those of two or more dimensions, or all. Biases and the scales
/// and shifts of norms have one dimension: pulling them to zero fights the normalisation and is left out by
/// the common recipes, but PyTorch's optimizers do it unless told otherwise.
enum class DecayScope { weights, all };
/// Of optim.decay. Throws Error E0511 (78) for another word.
DecayScope decay_scope_from_name(const std::string& name);

/// Parameters that a rule was the first to match.
struct RuleMatch {
    std::string match;
    std::int64_t tensors = 0;
    std::int64_t elements = 0;
};

struct ParameterGroups {
    std::vector<device::UpdateSegment> segments;  ///< sorted and disjoint
    std::vector<RuleMatch> matches;               ///< one per rule
};

/// Multipliers of rate and weight decay, and the first step, of every parameter, as segments of the flat
/// buffers. Each parameter takes them from the first rule whose regular expression (ECMAScript, searched
/// anywhere in the name) matches, else 1, 1 and 0; what `decay` leaves out is not decayed, whatever the rule
/// says. Neighbours with equal multipliers become one segment. Throws Error E0512 (78) naming a rule that
/// matches no parameter or is no regular expression.
ParameterGroups group_parameters(std::span<const ParameterPlace> parameters,
                                 std::span<const config::ParameterGroup> rules,
                                 DecayScope decay = DecayScope::weights);

}  // namespace terrane::optim

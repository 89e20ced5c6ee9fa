#pragma once

#include <string>
#include <vector>

#include "weights/pickle.hpp"

namespace terrane::weights {

/// A tensor of a pickle and the dotted name under which it was found.
struct NamedTensor {
    std::string name;
    std::uint64_t tensor = 0;  ///< index in Heap::tensors
};

/// Finds the weights in what torch.save was given and names their tensors by the dotted path to them.
///
/// Goes down through "state_dict", "model_state_dict", "model", "teacher", "student" and the like until there
/// is a dictionary of tensors; `part` names the key to take instead. Whole modules (torch.save(model)) are
/// read through their parameters, buffers and submodules. Throws Error E0622 if there is no tensor, if `part`
/// is not there, or if the structure goes beyond the limits (a shared container visited over and over).
std::vector<NamedTensor> find_state_dict(pickle::Heap& heap, const pickle::Machine& machine,
                                         const pickle::Value& root, const std::string& part,
                                         const std::string& file);

}  // namespace terrane::weights

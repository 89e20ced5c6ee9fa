#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/scene.hpp"

namespace terrane::train {

/// The weight of each class in the loss. With f_c the class's share of the labelled training pixels and the
/// classes that occur called present:
///   none:         1
///   inverse:      1 / f_c
///   sqrt_inverse: 1 / sqrt(f_c)
///   median:       median of the present f / f_c        (Eigen and Fergus 2015)
/// then divided by their mean over the present classes. An absent class gets 1: it is never a target. A
/// positive
/// [[class]].weight replaces the class's value after that.
/// Throws Error E0516 (78) for an unknown method.
std::vector<float> class_weights(const std::string& method, std::span<const std::int64_t> pixels,
                                 std::span<const config::Class> classes);

}  // namespace terrane::train

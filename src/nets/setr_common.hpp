#pragma once

#include <vector>

#include "nets/network.hpp"
#include "nets/vit.hpp"

/// What both SETR networks ask of their configuration.
namespace terrane::nets {

/// The positional embedding belongs to one image size: model.vit.image, or the size at hand where that is 0.
/// Throws Error E0547 if the network is built for another size, or one that the patches do not cover.
void check_image(const config::Model& model, const NetworkInputs& inputs);

/// model.vit.taps, or `usual` if it is empty. Throws Error E0546 for blocks that are not there or not
/// ascending.
std::vector<std::int64_t> taps_of(const config::Model& model, std::vector<std::int64_t> usual);

}  // namespace terrane::nets

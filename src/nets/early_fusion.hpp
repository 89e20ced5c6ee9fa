#pragma once

#include "nets/network.hpp"

namespace terrane::nets {

/// All modalities as one image, for networks that have a single encoder: each is resized (bilinear) to the
/// reference grid if it is coarser, multiplied by its presence, and joined along the bands in the order of
/// inputs.modalities. A modality that a sample lacks is zero, which is its mean after normalisation; training
/// with model.modality_dropout prepares a network for that. A single modality passes unchanged. Returns
/// [batch, height, width, sum of bands].
graph::ValueId early_fusion(graph::GraphBuilder& build, const NetworkInputs& inputs,
                            const NetworkValues& values);

}  // namespace terrane::nets

#pragma once

#include "nets/network.hpp"

namespace terrane::nets {

/// duet: one ResNet encoder per modality, fused at every level by learned gates.
///
///   level 0 (stem, stride 2), 1 (stride 4) ... 4 (output stride):
///     f_m      = stage of modality m's encoder, resized to the first modality's map if its grid differs
///     gates    = sum_m presence_m * conv1x1_m(f_m)                   [batch, h, w, modalities]
///     fused    = sum_m presence_m * sigmoid(gates_m) * f_m           (ops::GatedSum)
///   The first modality's encoder goes on from `fused`, the others from their own f_m. A missing modality is
///   left out of every sum, so that the network answers from the rest. With one modality there are no gates:
///   a plain encoder.
///
///   context = ASPP(fused_4); decoder: context up to stride 4, joined with a 1x1 projection of fused_1, 3x3;
///   up to stride 2, joined with a projection of fused_0, 3x3; dropout; 1x1 to classes. The logits have
///   stride 2 (4 for model.decoder_stride = 4); the loss upsamples them to the labels' resolution.
/// Returns the logits [batch, height / 2, width / 2, classes].
NetworkHeads duet(graph::GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                  const NetworkValues& values);

}  // namespace terrane::nets

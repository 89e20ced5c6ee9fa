#pragma once

#include <functional>
#include <vector>

#include "nets/network.hpp"
#include "nets/norm.hpp"

/// What MMSegmentation's encoder-decoder networks share, under its names: all but the maps that the head
/// makes of the encoder's.
namespace terrane::nets {

/// How the network resizes maps and logits: model.pyramid.align_corners.
ops::Corners corners_of(const config::Model& model);

/// The maps, all of one size, that the head makes of the deepest map and joins; most have `channels`
/// channels.
using Branches = std::function<std::vector<graph::ValueId>(graph::ValueId map, std::int64_t channels)>;

/// A dilated ResNet "backbone" (model.encoder on the modalities joined by early fusion); the "decode_head":
/// branches, joined, 3x3 convolution "bottleneck" to model.pyramid.channels (0: a quarter of the deepest
/// map's), norm, ReLU, dropout of whole channels, 1x1 convolution "conv_seg" with weights drawn from
/// N(0, 0.01); in training the "auxiliary_head" on stage 3 with a 3x3 convolution to a quarter of the
/// channels and a classifier of its own, unless its weight is 0.
NetworkHeads segmentor(graph::GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                       const NetworkValues& values, const Branches& branches);

}  // namespace terrane::nets

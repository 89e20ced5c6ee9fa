#pragma once

#include "nets/network.hpp"
#include "nets/norm.hpp"

/// The parts that MMSegmentation's encoder-decoder networks share, under its names: a dilated ResNet
/// "backbone", the classifier "conv_seg" that ends each head, and the "auxiliary_head".
namespace terrane::nets {

/// A dilated ResNet's last two stages.
struct BackboneFeatures {
    graph::ValueId stage3;
    graph::ValueId stage4;
};

/// model.encoder on the modalities joined by early fusion, with the stem of model.pyramid.stem, dilated from
/// model.output_stride on. Parameters: backbone.*.
BackboneFeatures dilated_backbone(graph::GraphBuilder& build, const config::Model& model,
                                  const NetworkInputs& inputs, const NetworkValues& values);

/// Channels of the main head: model.pyramid.channels, or a quarter of the deepest map's.
std::int64_t head_channels(const graph::GraphBuilder& build, const config::Model& model,
                           graph::ValueId deepest);

/// How the network resizes maps and logits.
ops::Corners corners_of(const config::Model& model);

/// Dropout of whole channels (model.dropout, training only), then the 1x1 convolution conv_seg with bias to
/// the classes, its weights drawn from N(0, 0.01).
Logits classifier(graph::GraphBuilder& build, const config::Model& model, graph::ValueId x,
                  std::int64_t classes);

/// The head on stage 3 that only training has: 3x3 convolution to a quarter of the channels, norm, ReLU,
/// classifier; none if the network is not built for training or its weight is 0. Parameters:
/// auxiliary_head.*.
std::vector<AuxiliaryHead> auxiliary_heads(graph::GraphBuilder& build, const config::Model& model,
                                           graph::ValueId stage3, std::int64_t classes);

}  // namespace terrane::nets

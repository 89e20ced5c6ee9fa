#pragma once

#include "nets/network.hpp"

namespace terrane::nets {

/// The network of "Scribble Hides Class" (Zhang et al. 2024) in its DeepLabV2 form, with its names: a
/// ResNet-50 that strides on the first convolution of a block, dilates stage 3 by 2 and stage 4 by
/// model.atrous.grid, and an atrous classifier: a 1x1 and 3x3 convolutions of dilations model.atrous.rates
/// straight to the classes, with that of the image's mean, joined by a 1x1 convolution. Logits are upsampled
/// with aligned corners. Offers its deepest map to the loss term "rectification". Backbone 23,508,032
/// parameters; 24,757,721 with 21 classes, 33,150,426 with that term's layers.
NetworkHeads res50_aspp_lorm(graph::GraphBuilder& build, const config::Model& model,
                             const NetworkInputs& inputs, const NetworkValues& values);

}  // namespace terrane::nets

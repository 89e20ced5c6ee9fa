#pragma once

#include "nets/network.hpp"

namespace terrane::nets {

/// DeepLabV3 (Chen et al. 2017) as MMSegmentation builds it, with its names: a ResNet V1c of output stride 8;
/// the deepest map's mean, a 1x1 convolution and 3x3 convolutions of dilation 12, 24, 36
/// (model.pyramid.rates), joined, 3x3 convolution, classifier; an auxiliary head on stage 3. With
/// model.encoder = resnet50 and 19 classes: 68,113,030 parameters.
NetworkHeads deeplabv3(graph::GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                       const NetworkValues& values);

}  // namespace terrane::nets

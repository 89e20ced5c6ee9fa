#pragma once

#include "nets/network.hpp"

namespace terrane::nets {

/// PSPNet (Zhao et al. 2017) as MMSegmentation builds it, with its names: a ResNet V1c of output stride 8,
/// its deepest map pooled to grids of 1, 2, 3 and 6 cells (model.pyramid.bins), each through a 1x1
/// convolution and back to the map's resolution, joined with the map, 3x3 convolution, classifier; an
/// auxiliary head on stage 3. With model.encoder = resnet50 and 19 classes: 48,975,494 parameters.
NetworkHeads pspnet(graph::GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                    const NetworkValues& values);

}  // namespace terrane::nets

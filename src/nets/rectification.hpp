#pragma once

#include "nets/network.hpp"

namespace terrane::nets {

/// The layers of the localization rectification module (ops/localization_rectification.hpp), which exist only
/// in training: queries and keys by 1x1 convolutions with bias, as wide as the features, and the factor
/// gamma. Parameters: layer_camatt.*.
struct RectificationLayers {
    graph::ValueId features, query, key, gamma;
};

RectificationLayers rectification_layers(graph::GraphBuilder& build, graph::ValueId features);

/// The loss over a class map; `background`: the class that is no object, or -1.
graph::ValueId rectification_loss(graph::GraphBuilder& build, std::string_view name,
                                  const RectificationLayers& layers, graph::ValueId class_map,
                                  std::int64_t background, double weight);

}  // namespace terrane::nets

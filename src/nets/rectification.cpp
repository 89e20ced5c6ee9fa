#include "nets/rectification.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

RectificationLayers rectification_layers(GraphBuilder& build, ValueId features) {
    auto scope = build.scope("layer_camatt");
    const std::int64_t channels = build.shape_of(features).channels();
    RectificationLayers layers;
    layers.features = features;
    layers.query = build.convolution("query_conv", features, channels, {.kernel = 1, .bias = true});
    layers.key = build.convolution("key_conv", features, channels, {.kernel = 1, .bias = true});
    layers.gamma = build.parameter("gamma", Shape{1}, graph::Constant{1});
    return layers;
}

ValueId rectification_loss(GraphBuilder& build, std::string_view name, const RectificationLayers& layers,
                           ValueId class_map, std::int64_t background, double weight) {
    const ops::LocalizationRectification op{.background = static_cast<int>(background),
                                            .loss_weight = weight};
    return build.append(name, op, {layers.features, layers.query, layers.key, layers.gamma, class_map});
}

}  // namespace terrane::nets

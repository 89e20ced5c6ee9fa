#include "nets/segmentor.hpp"

#include <string>

#include "base/philox.hpp"
#include "nets/early_fusion.hpp"
#include "nets/resnet.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

namespace {

/// A dilated ResNet's last two stages.
struct BackboneFeatures {
    ValueId stage3;
    ValueId stage4;
};

/// model.encoder on the modalities joined by early fusion, with the stem of model.pyramid.stem, dilated from
/// model.output_stride on.
BackboneFeatures dilated_backbone(GraphBuilder& build, const config::Model& model,
                                  const NetworkInputs& inputs, const NetworkValues& values) {
    ResNetDesign design = resnet_from_name(model.encoder, model.encoder_width);
    design.stem = model.pyramid.stem == "deep" ? ResNetDesign::Stem::deep : ResNetDesign::Stem::single;
    const ResNetEncoder encoder(design, norm_from_name(model.norm),
                                layout_for_output_stride(design, 1, model.output_stride));
    ValueId x = early_fusion(build, inputs, values);
    auto scope = build.scope("backbone");
    x = encoder.stem(build, x);
    for (int stage = 1; stage <= 2; ++stage) x = encoder.stage(build, stage, x);
    BackboneFeatures features;
    features.stage3 = encoder.stage(build, 3, x);
    features.stage4 = encoder.stage(build, 4, features.stage3);
    return features;
}

/// Dropout of whole channels (model.dropout, training only), then the 1x1 convolution conv_seg with bias.
Logits classifier(GraphBuilder& build, const config::Model& model, ValueId x, std::int64_t classes) {
    if (build.mode() == device::Mode::training && model.dropout > 0) {
        x = build.append("dropout",
                         ops::Dropout{.probability = model.dropout,
                                      .kind = ops::DropoutKind::channel,
                                      .stream = stream_of(build.full_name("dropout"))},
                         {x});
    }
    return {build.convolution("conv_seg", x, classes,
                              {.kernel = 1, .bias = true, .initializer = graph::Normal{0.01}}),
            corners_of(model)};
}

/// The head on stage 3 that only training has: 3x3 convolution to a quarter of the channels, norm, ReLU,
/// classifier; none if its weight is 0.
std::vector<AuxiliaryHead> auxiliary_heads(GraphBuilder& build, const config::Model& model, ValueId stage3,
                                           std::int64_t classes) {
    if (build.mode() != device::Mode::training || model.pyramid.auxiliary_weight == 0) return {};
    const std::string name = "auxiliary_head";
    auto scope = build.block(name);
    const ValueId x =
        convolution_norm_relu(build, norm_from_name(model.norm), "convs.0.conv", "convs.0.bn", stage3,
                              build.shape_of(stage3).channels() / 4, {.kernel = 3, .padding = 1});
    return {{name, classifier(build, model, x, classes), model.pyramid.auxiliary_weight}};
}

}  // namespace

ops::Corners corners_of(const config::Model& model) {
    return model.pyramid.align_corners ? ops::Corners::align_corners : ops::Corners::half_pixel;
}

NetworkHeads segmentor(GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                       const NetworkValues& values, const Branches& branches) {
    const BackboneFeatures features = dilated_backbone(build, model, inputs, values);
    const ValueId map = features.stage4;
    const std::int64_t channels =
        model.pyramid.channels > 0 ? model.pyramid.channels : build.shape_of(map).channels() / 4;
    NetworkHeads heads;
    {
        auto scope = build.block("decode_head");
        const ValueId joined = build.append("join", ops::Concat{}, branches(map, channels));
        const ValueId x =
            convolution_norm_relu(build, norm_from_name(model.norm), "bottleneck.conv", "bottleneck.bn",
                                  joined, channels, {.kernel = 3, .padding = 1});
        heads.main = classifier(build, model, x, inputs.classes);
    }
    heads.auxiliary = auxiliary_heads(build, model, features.stage3, inputs.classes);
    return heads;
}

}  // namespace terrane::nets

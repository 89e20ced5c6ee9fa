#include <string>

#include "nets/early_fusion.hpp"
#include "nets/norm.hpp"
#include "nets/setr.hpp"
#include "nets/setr_common.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

namespace {

constexpr std::int64_t neck_channels = 256;
constexpr std::int64_t head_channels = 128;
constexpr std::int64_t enlargement = 4;  ///< of each level before they are joined

/// The name of a level's part: 2 for the shallowest.
std::string numbered(std::string_view name, std::size_t level, std::string_view tail = "") {
    return std::string(name) + std::to_string(level + 2) + std::string(tail);
}

/// From the outputs of four blocks, shallowest first, to p2 ... p5.
std::vector<ValueId> neck(GraphBuilder& build, NormKind norm, const std::vector<ValueId>& features,
                          double epsilon) {
    std::vector<ValueId> projected;
    for (std::size_t i = 0; i < features.size(); ++i) {
        const ValueId normed = layer_norm(build, "norm_" + std::to_string(i), features[i], epsilon);
        auto scope = build.block("mla." + numbered("mla_p", i, "_1x1"));
        projected.push_back(
            convolution_norm_relu(build, norm, "0", "1", normed, neck_channels, {.kernel = 1}));
    }
    std::vector<ValueId> levels(features.size());
    ValueId sum;
    for (std::size_t i = features.size(); i-- > 0;) {
        auto scope = build.block("mla." + numbered("mla_p", i));
        sum = i + 1 == features.size() ? projected[i] : build.append("sum", ops::Add{}, {projected[i], sum});
        levels[i] =
            convolution_norm_relu(build, norm, "0", "1", sum, neck_channels, {.kernel = 3, .padding = 1});
    }
    return levels;
}

}  // namespace

NetworkHeads setr_mla(GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                      const NetworkValues& values) {
    check_image(model, inputs);
    VisionTransformerDesign design = vision_transformer_design(model);
    design.class_token = VisionTransformerDesign::ClassToken::yes;
    const std::int64_t quarter = design.depth / 4;
    const std::vector<std::int64_t> taps =
        taps_of(model, {quarter - 1, 2 * quarter - 1, 3 * quarter - 1, design.depth - 1});
    const bool fudan = model.vit.head == "fudan";
    const ops::Corners corners = fudan ? ops::Corners::align_corners : ops::Corners::half_pixel;
    const NormKind norm = norm_from_name(model.norm);
    const ValueId image = early_fusion(build, inputs, values);

    std::vector<ValueId> levels;
    {
        auto scope = build.scope("backbone");
        levels = neck(build, norm, vision_transformer(build, design, image, taps), design.epsilon);
    }
    NetworkHeads heads;
    {
        auto scope = build.scope("decode_head");
        std::vector<ValueId> enlarged;
        for (std::size_t i = 0; i < levels.size(); ++i) {
            auto level = build.block("mlahead." + numbered("head", i));
            const GraphBuilder::ConvolutionOptions spatial{.kernel = 3, .padding = 1};
            ValueId x = convolution_norm_relu(build, norm, "0", "1", levels[i], head_channels, spatial);
            x = convolution_norm_relu(build, norm, "3", "4", x, head_channels, spatial);
            const Shape& map = build.shape_of(x);
            enlarged.push_back(build.append("resize",
                                            ops::Resize{.height = enlargement * map.height(),
                                                        .width = enlargement * map.width(),
                                                        .corners = corners},
                                            {x}));
        }
        const ValueId joined = build.append("join", ops::Concat{}, enlarged);
        GraphBuilder::ConvolutionOptions last{.kernel = 1, .bias = true, .initializer = graph::Normal{0.01}};
        if (fudan) last.kernel = 3, last.padding = 1;
        heads.main.value = build.convolution(fudan ? "cls" : "conv_seg", joined, inputs.classes, last);
    }
    if (build.mode() != device::Mode::training || model.vit.auxiliary_weight == 0) return heads;
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const std::string name = "auxiliary_head." + std::to_string(i);
        const ValueId logits =
            build.convolution(name + (fudan ? ".aux" : ".conv_seg"), levels[i], inputs.classes,
                              {.kernel = 1, .bias = !fudan, .initializer = graph::Normal{0.01}});
        heads.auxiliary.push_back({name, {logits}, model.vit.auxiliary_weight});
    }
    return heads;
}

}  // namespace terrane::nets

#include <array>
#include <string>

#include "nets/early_fusion.hpp"
#include "nets/norm.hpp"
#include "nets/setr.hpp"
#include "nets/setr_common.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

namespace {

constexpr std::int64_t level_channels = 64;

std::int64_t decoder_channels(std::size_t step) {
    constexpr std::array<std::int64_t, 4> channels{128, 128, 64, 64};
    return step < channels.size() ? channels[step] : 32;
}

ValueId twice_as_large(GraphBuilder& build, const std::string& name, ValueId x) {
    const Shape& map = build.shape_of(x);
    return build.append(
        name,
        ops::Resize{
            .height = 2 * map.height(), .width = 2 * map.width(), .corners = ops::Corners::align_corners},
        {x});
}

}  // namespace

NetworkHeads setr_light(GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                        const NetworkValues& values) {
    check_image(model, inputs);
    VisionTransformerDesign design = vision_transformer_design(model);
    design.perceptron = "ffn";
    design.final_norm = VisionTransformerDesign::FinalNorm::yes;
    const std::vector<std::int64_t> taps = taps_of(model, {0, design.depth / 2, design.depth - 1});
    const std::vector<ValueId> features =
        vision_transformer(build, design, early_fusion(build, inputs, values), taps);

    std::vector<ValueId> levels;
    for (std::size_t i = 0; i < features.size(); ++i) {
        levels.push_back(build.convolution("mla_projs." + std::to_string(i), features[i], level_channels,
                                           {.kernel = 1, .bias = true}));
    }
    ValueId x = levels.size() == 1 ? levels[0] : build.append("mla_sum", ops::Add{}, levels);
    const NormKind norm = norm_from_name(model.norm);
    std::size_t step = 0;
    for (std::int64_t scale = design.patch; scale > 1; scale /= 2, ++step) {
        auto scope = build.block("decoder");
        const auto layer = [&](std::size_t within) { return std::to_string(4 * step + within); };
        x = convolution_norm_relu(build, norm, layer(0), layer(1), x, decoder_channels(step),
                                  {.kernel = 3, .padding = 1, .bias = true});
        x = twice_as_large(build, layer(3), x);
    }
    const ValueId logits = build.convolution("head", x, inputs.classes,
                                             {.kernel = 1, .bias = true, .initializer = graph::Normal{0.01}});
    return {{logits, ops::Corners::align_corners}, {}};
}

}  // namespace terrane::nets

#include "nets/vit.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/philox.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

namespace {

constexpr graph::Normal initial_weight{0.02};

ValueId linear(GraphBuilder& build, const std::string& name, ValueId x, std::int64_t channels) {
    const std::int64_t inner = build.shape_of(x).channels();
    return build.append(name, ops::Linear{},
                        {x, build.parameter(name + ".weight", Shape{channels, inner}, initial_weight),
                         build.parameter(name + ".bias", Shape{channels}, graph::Constant{0})});
}

ValueId dropped(GraphBuilder& build, const std::string& name, ValueId x, double probability) {
    if (build.mode() != device::Mode::training || probability == 0) return x;
    return build.append(
        name, ops::Dropout{.probability = probability, .stream = stream_of(build.full_name(name))}, {x});
}

ValueId transformer_block(GraphBuilder& build, const VisionTransformerDesign& design, ValueId x) {
    const ValueId normed = layer_norm(build, "norm1", x, design.epsilon);
    const ValueId packed = linear(build, "attn.qkv", normed, 3 * design.width);
    const double dropout = build.mode() == device::Mode::training ? design.dropout : 0;
    const ops::Attention attention{
        .heads = design.heads, .dropout = dropout, .stream = stream_of(build.full_name("attn.softmax"))};
    ValueId y = build.append("attn.softmax", attention, {packed});
    y = dropped(build, "attn.drop", linear(build, "attn.proj", y, design.width), design.dropout);
    x = build.append("attn.sum", ops::Add{}, {x, y});

    const std::string perceptron(design.perceptron);
    y = linear(build, perceptron + ".fc1", layer_norm(build, "norm2", x, design.epsilon), design.hidden);
    y = build.append(perceptron + ".gelu", ops::Activation{ops::ActivationKind::gelu}, {y});
    y = dropped(build, perceptron + ".drop1", y, design.dropout);
    y = dropped(build, perceptron + ".drop2", linear(build, perceptron + ".fc2", y, design.width),
                design.dropout);
    return build.append(perceptron + ".sum", ops::Add{}, {x, y});
}

}  // namespace

VisionTransformerDesign vision_transformer_design(const config::Model& model) {
    const config::VisionTransformer& vit = model.vit;
    if (vit.width % vit.heads != 0) {
        throw Error(ExitCode::config_invalid, 546,
                    fmt::format("model.vit.width = {} can't be divided into model.vit.heads = {}.", vit.width,
                                vit.heads),
                    "Choose heads that divide the width (768 and 12 in ViT-B).");
    }
    VisionTransformerDesign design;
    design.patch = vit.patch;
    design.depth = vit.depth;
    design.width = vit.width;
    design.heads = vit.heads;
    design.hidden = std::llround(vit.mlp_ratio * static_cast<double>(vit.width));
    design.epsilon = vit.epsilon;
    design.dropout = vit.dropout;
    return design;
}

ValueId layer_norm(GraphBuilder& build, std::string_view name, ValueId x, double epsilon) {
    const Shape channels{build.shape_of(x).channels()};
    const std::string base(name);
    return build.append(name, ops::LayerNorm{epsilon},
                        {x, build.parameter(base + ".weight", channels, graph::Constant{1}),
                         build.parameter(base + ".bias", channels, graph::Constant{0})});
}

std::vector<ValueId> vision_transformer(GraphBuilder& build, const VisionTransformerDesign& design,
                                        ValueId image, std::span<const std::int64_t> taps) {
    const bool class_token = design.class_token == VisionTransformerDesign::ClassToken::yes;
    if (class_token) build.parameter("cls_token", Shape{1, 1, design.width}, graph::Constant{0});
    ValueId x = build.convolution(
        "patch_embed.proj", image, design.width,
        {.kernel = design.patch, .stride = design.patch, .bias = true, .initializer = initial_weight});
    const Shape& map = build.shape_of(x);
    const std::int64_t skipped = class_token ? 1 : 0;
    const ValueId position = build.parameter(
        "pos_embed", Shape{1, skipped + map.height() * map.width(), design.width}, initial_weight);
    x = build.append("positions", ops::PositionalEmbedding{skipped}, {x, position});

    std::vector<ValueId> features;
    for (std::int64_t block = 0; block < design.depth; ++block) {
        auto scope = build.block("blocks." + std::to_string(block));
        x = transformer_block(build, design, x);
        if (std::find(taps.begin(), taps.end(), block) != taps.end()) features.push_back(x);
    }
    if (design.final_norm == VisionTransformerDesign::FinalNorm::yes) {
        build.parameter("norm.weight", Shape{design.width}, graph::Constant{1});
        build.parameter("norm.bias", Shape{design.width}, graph::Constant{0});
    }
    TERRANE_ASSERT(features.size() == taps.size(), "a transformer of {} blocks has not all taps",
                   design.depth);
    return features;
}

}  // namespace terrane::nets

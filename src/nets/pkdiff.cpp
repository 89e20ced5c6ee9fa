#include "nets/pkdiff.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "nets/early_fusion.hpp"

namespace terrane::nets {

namespace {

using graph::GraphBuilder;
using graph::ValueId;

constexpr std::int64_t head_width = 32;
constexpr std::int64_t norm_groups = 8;

std::string numbered(const char* name, int number) {
    return std::string(name) + std::to_string(number);
}

ValueId convolution(GraphBuilder& build, std::string_view name, ValueId x, std::int64_t channels,
                    std::int64_t kernel, bool bias = true, std::int64_t stride = 1,
                    std::int64_t padding = -1) {
    return build.convolution(name, x, channels,
                             {.kernel = kernel,
                              .stride = stride,
                              .padding = padding < 0 ? kernel / 2 : padding,
                              .bias = bias,
                              .initializer = graph::UniformFanIn{}});
}

ValueId linear(GraphBuilder& build, std::string_view name, ValueId x, std::int64_t channels) {
    const std::int64_t inner = build.shape_of(x).channels();
    const std::string base(name);
    const ValueId weight = build.parameter(base + ".weight", Shape{channels, inner}, graph::UniformFanIn{});
    const ValueId bias = build.parameter(base + ".bias", Shape{channels},
                                         graph::Uniform{std::sqrt(1.0 / static_cast<double>(inner))});
    return build.append(name, ops::Linear{}, {x, weight, bias});
}

ValueId activation(GraphBuilder& build, std::string_view name, ValueId x, ops::ActivationKind kind) {
    return build.append(name, ops::Activation{kind}, {x});
}

ValueId group_norm(GraphBuilder& build, std::string_view name, ValueId x, std::int64_t groups,
                   ops::Silu silu = ops::Silu::no) {
    const std::int64_t channels = build.shape_of(x).channels();
    const std::string base(name);
    return build.append(name, ops::GroupNorm{.groups = groups, .silu = silu},
                        {x, build.parameter(base + ".weight", Shape{channels}, graph::Constant{1}),
                         build.parameter(base + ".bias", Shape{channels}, graph::Constant{0})});
}

/// 3x3 convolution, group norm, SiLU.
ValueId block(GraphBuilder& build, std::string_view name, ValueId x, std::int64_t channels) {
    auto scope = build.scope(name);
    return group_norm(build, "norm", convolution(build, "proj", x, channels, 3), norm_groups, ops::Silu::yes);
}

/// Two blocks beside a 1x1 convolution; `time` [1, 4 width] (after its SiLU) enters between them.
ValueId residual_block(GraphBuilder& build, std::string_view name, ValueId x, std::int64_t channels,
                       std::optional<ValueId> time = {}) {
    auto scope = build.block(name);
    ValueId h = block(build, "block1", x, channels);
    if (time) h = build.append("timed", ops::ChannelAdd{}, {h, linear(build, "mlp.1", *time, channels)});
    h = block(build, "block2", h, channels);
    return build.append("sum", ops::Add{}, {h, convolution(build, "res_conv", x, channels, 1)});
}

/// x + linear attention of the normalised x.
ValueId linear_attention(GraphBuilder& build, std::string_view name, ValueId x, std::int64_t heads) {
    auto scope = build.block(name);
    const std::int64_t channels = build.shape_of(x).channels();
    ValueId h = group_norm(build, "fn.norm", x, 1);
    h = convolution(build, "fn.fn.to_qkv", h, 3 * heads * head_width, 1, false);
    h = build.append("attention", ops::LinearAttention{heads}, {h});
    h = convolution(build, "fn.fn.to_out.0", h, channels, 1);
    h = group_norm(build, "fn.fn.to_out.1", h, 1);
    return build.append("sum", ops::Add{}, {x, h});
}

ValueId upsampled(GraphBuilder& build, std::string_view name, ValueId x, std::int64_t channels) {
    const std::string base(name);
    const graph::Uniform bound{std::sqrt(1.0 / static_cast<double>(channels * 16))};
    const ValueId weight =
        build.parameter(base + ".weight", Shape{build.shape_of(x).channels(), 4, 4, channels}, bound);
    const ValueId bias = build.parameter(base + ".bias", Shape{channels}, bound);
    return build.append(name, ops::TransposedConvolution{.kernel = 4, .stride = 2, .padding = 1},
                        {x, weight, bias});
}

ValueId resized(GraphBuilder& build, std::string_view name, ValueId x, const Shape& to) {
    const Shape& from = build.shape_of(x);
    if (from.height() == to.height() && from.width() == to.width()) return x;
    return build.append(name, ops::Resize{.height = to.height(), .width = to.width()}, {x});
}

/// Height-guided attention (CADEF): x + gate * attention, with keys that know position and slope. `source`,
/// if given, is what keys and values are taken from instead of x: the height encoder's map of the same size.
ValueId cadef(GraphBuilder& build, const config::Diffusion& diffusion, int level, ValueId x,
              const HeightGuide& guide, std::optional<ValueId> source) {
    auto scope = build.block(numbered("cadef_blocks.", level));
    const Shape shape = build.shape_of(x);
    const std::int64_t inner = diffusion.heads * head_width;
    const std::int64_t shrink = cadef_shrink(level, shape.height(), shape.width());
    const auto pooled = [&](std::string_view name, ValueId map) {
        if (shrink == 1) return map;
        return build.append(
            name, ops::Pool{.kind = ops::PoolKind::average, .kernel = shrink, .stride = shrink, .padding = 0},
            {map});
    };
    constexpr std::int64_t height = ops::HeightEncoding::position_channels;
    const ValueId tokens = pooled("pool", x);
    const ValueId heights = build.append("height", ops::Slice{height, height + 1}, {guide.encoding});
    const ValueId known = build.append("with_height", ops::Concat{},
                                       {source ? pooled("source_pool", *source) : tokens, heights});
    const ValueId q = convolution(build, "to_q", tokens, inner, 1, false);
    const ValueId kv = convolution(build, "to_kv", known, 2 * inner, 1, false);
    const ValueId bias = convolution(build, "hape.mlp", guide.encoding, inner, 1);
    const ValueId keys = build.append("keys", ops::Slice{0, inner}, {kv});
    const ValueId k = build.append("guided_keys", ops::Add{}, {keys, bias});
    const ValueId v = build.append("values", ops::Slice{inner, 2 * inner}, {kv});
    ValueId o = build.append("attention",
                             ops::Attention{.heads = diffusion.heads, .form = ops::AttentionInputs::separate},
                             {q, k, v});
    o = convolution(build, "to_out", o, shape.channels(), 1);
    o = resized(build, "raise", o, shape);
    if (guide.slope) {
        const ValueId gate = activation(build, "gate", convolution(build, "alpha_gen.0", *guide.slope, 1, 3),
                                        ops::ActivationKind::sigmoid);
        o = build.append("gated", ops::Multiply{}, {o, gate});
    }
    return build.append("sum", ops::Add{}, {x, o});
}

/// The dual mode's encoder of the height alone.
class HeightEncoder {
  public:
    HeightEncoder(GraphBuilder& build, const config::Diffusion& diffusion, const PkdiffInputs& inputs)
        : build_(build), width_(diffusion.width) {
        const ValueId height = build.append(
            "height_initial.input", ops::Slice{inputs.height_band, inputs.height_band + 1}, {inputs.image});
        map_ = residual_block(build, "height_initial.0", height, width_);
    }
    ValueId level(int index) {
        const std::int64_t channels = width_ << index;
        map_ = residual_block(build_, numbered("height_down.", index) + ".0", map_, channels);
        const ValueId result = map_;
        if (index + 1 < pkdiff_levels) {
            map_ = convolution(build_, numbered("height_down.", index) + ".1", map_, 2 * channels, 4, true, 2,
                               1);
        }
        return result;
    }

  private:
    GraphBuilder& build_;
    std::int64_t width_;
    ValueId map_;
};

}  // namespace

std::optional<std::int64_t> height_band_of(const config::Diffusion& diffusion, const NetworkInputs& inputs) {
    if (diffusion.cadef == "off") return std::nullopt;
    const std::vector<std::string> synonyms{"height", "dsm", "ndsm"};
    std::vector<std::string> wanted{diffusion.height};
    if (std::find(synonyms.begin(), synonyms.end(), diffusion.height) != synonyms.end()) {
        for (const std::string& name : synonyms) {
            if (name != diffusion.height) wanted.push_back(name);
        }
    }
    std::vector<std::string> present;
    for (const ModalityInput& modality : inputs.modalities) present.push_back(modality.name);
    for (const std::string& name : wanted) {
        std::int64_t band = 0;
        for (const ModalityInput& modality : inputs.modalities) {
            if (modality.name == name) return band;
            band += modality.bands;
        }
    }
    throw Error(ExitCode::config_invalid, 548,
                fmt::format("pkdiff's attention is guided by a height (model.diffusion.cadef = \"{}\"), and "
                            "no modality is called {}; there are {}.",
                            diffusion.cadef, fmt::join(wanted, ", "), fmt::join(present, ", ")),
                "Name the one that is a height with model.diffusion.height, or set model.diffusion.cadef = "
                "\"off\".");
}

std::int64_t cadef_shrink(int level, std::int64_t height, std::int64_t width) {
    constexpr std::int64_t most_tokens = 4096;
    std::int64_t shrink = std::int64_t{4} >> level;
    std::int64_t needed = 1;
    while (height * width > most_tokens * needed * needed) needed *= 2;
    return std::max(shrink, needed);
}

HeightGuides height_guides(GraphBuilder& build, const config::Diffusion& diffusion, ValueId height,
                           std::optional<ValueId> whole) {
    const bool dual = diffusion.cadef == "dual";
    const bool replicates = dual || diffusion.border == "replicate";
    const bool falling = !dual && diffusion.gate == "falling";
    const Shape full = build.shape_of(height);
    HeightGuides guides;
    for (int level = 0; level < pkdiff_levels; ++level) {
        auto scope = build.scope(numbered("level", level));
        const Shape shape{full.batch(), full.height() >> level, full.width() >> level, 1};
        const ValueId map = resized(build, "resize", height, shape);
        HeightGuide& guide = guides[static_cast<std::size_t>(level)];
        std::vector<ValueId> heights{map};
        if (whole) heights.push_back(*whole);
        guide.encoding =
            build.append("encoding",
                         ops::HeightEncoding{.shrink = cadef_shrink(level, shape.height(), shape.width()),
                                             .border = replicates ? ops::HeightEncoding::Border::replicate
                                                                  : ops::HeightEncoding::Border::zero},
                         heights);
        if (level + 1 == pkdiff_levels) continue;
        constexpr std::int64_t first = ops::HeightEncoding::position_channels + 1;
        const ValueId gradient = build.append("gradient", ops::Slice{first, first + 2}, {guide.encoding});
        guide.slope = build.append("slope",
                                   ops::SlopeMagnitude{falling ? ops::SlopeMagnitude::Counts::falling
                                                               : ops::SlopeMagnitude::Counts::all},
                                   {resized(build, "gradient_resize", gradient, shape)});
    }
    return guides;
}

ValueId pkdiff_network(GraphBuilder& build, const config::Diffusion& diffusion, std::int64_t classes,
                       const PkdiffInputs& inputs) {
    const std::int64_t width = diffusion.width;
    const std::int64_t heads = diffusion.heads;
    ValueId time = build.append("time_mlp.0", ops::TimeEmbedding{width, build.compute()}, {inputs.time});
    time = linear(build, "time_mlp.1", time, 4 * width);
    time = activation(build, "time_mlp.2", time, ops::ActivationKind::gelu);
    time = linear(build, "time_mlp.3", time, 4 * width);
    time = activation(build, "time_mlp.silu", time, ops::ActivationKind::silu);

    const auto stem = [&](const char* name, ValueId x) {
        auto scope = build.scope(name);
        x = residual_block(build, "0", x, width, time);
        x = residual_block(build, "1", x, width);
        return residual_block(build, "2", x, width);
    };
    const ValueId labels = stem("seg_initial", inputs.noisy);
    const ValueId image = stem("image_initial", inputs.image);
    ValueId x = build.append("merge", ops::Add{}, {labels, image});

    std::optional<HeightEncoder> heights;
    if (inputs.guides && diffusion.cadef == "dual") heights.emplace(build, diffusion, inputs);
    std::vector<ValueId> skips;
    for (int level = 0; level < pkdiff_levels; ++level) {
        const std::int64_t channels = width << level;
        const std::string name = numbered("down.", level);
        x = residual_block(build, name + ".0", x, channels, time);
        x = residual_block(build, name + ".1", x, channels);
        if (inputs.guides) {
            std::optional<ValueId> source;
            if (heights) source = heights->level(level);
            x = cadef(build, diffusion, level, x, (*inputs.guides)[static_cast<std::size_t>(level)], source);
        }
        x = linear_attention(build, name + ".2", x, heads);
        skips.push_back(x);
        x = convolution(build, name + ".3", x, 2 * channels, 4, true, 2, 1);
    }
    for (int i = 0; i < pkdiff_levels; ++i) {
        const int level = pkdiff_levels - 1 - i;
        const std::string name = numbered("up.", i);
        const std::int64_t channels = i == 0 ? width << pkdiff_levels : width << (level + 1);
        x = residual_block(build, name + ".0", x, channels, time);
        x = residual_block(build, name + ".1", x, channels);
        x = linear_attention(build, name + ".2", x, heads);
        x = upsampled(build, name + ".3", x, width << level);
        x = build.append(name + ".join", ops::Concat{}, {x, skips[static_cast<std::size_t>(level)]});
    }
    x = residual_block(build, "final.0", x, width);
    x = residual_block(build, "final.1", x, width);
    return convolution(build, "final.2", x, classes, 1);
}

NetworkHeads pkdiff(GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                    const NetworkValues& values) {
    const config::Diffusion& diffusion = model.diffusion;
    const std::int64_t unit = std::int64_t{1} << pkdiff_levels;
    if (inputs.height % unit != 0 || inputs.width % unit != 0) {
        throw Error(ExitCode::config_invalid, 542,
                    fmt::format("pkdiff halves its maps {} times: {} x {} pixels can't be.", pkdiff_levels,
                                inputs.width, inputs.height),
                    fmt::format("Choose a crop that is a multiple of {}.", unit));
    }
    PkdiffInputs network;
    network.image = early_fusion(build, inputs, values);
    const Shape noisy{inputs.batch, inputs.height, inputs.width, inputs.classes};
    network.noisy = build.input("noisy", {build.compute(), noisy});
    network.time = build.input("time", {ops::real_type(build.compute()), Shape{1}});
    if (const auto band = height_band_of(diffusion, inputs)) {
        auto scope = build.scope("guide");
        network.height_band = *band;
        const ValueId height = build.append("height", ops::Slice{*band, *band + 1}, {network.image});
        network.guides =
            height_guides(build, diffusion, height,
                          diffusion.dsm_norm == "tile" ? std::optional<ValueId>(height) : std::nullopt);
    }
    return {{pkdiff_network(build, diffusion, inputs.classes, network)}, {}};
}

}  // namespace terrane::nets

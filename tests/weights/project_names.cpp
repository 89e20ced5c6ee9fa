#include "project_names.hpp"

#include <array>

namespace terrane::test {

namespace {

using Bias = ProjectNames::Bias;

std::string number(std::int64_t value) {
    return std::to_string(value);
}

/// Stages of bottlenecks, as wide on the way in as the first stage is inside.
void add_resnet50_stages(ProjectNames& names, const std::string& prefix, std::int64_t width) {
    constexpr std::array<std::int64_t, 4> blocks{3, 4, 6, 3};
    std::int64_t in = width;
    for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
        const std::int64_t inner = width << stage, out = 4 * inner;
        for (std::int64_t block = 0; block < blocks[stage]; ++block) {
            const std::string name =
                prefix + "layer" + number(static_cast<std::int64_t>(stage) + 1) + "." + number(block) + ".";
            names.convolution(name + "conv1", inner, in, 1);
            names.batch_norm(name + "bn1", inner);
            names.convolution(name + "conv2", inner, inner, 3);
            names.batch_norm(name + "bn2", inner);
            names.convolution(name + "conv3", out, inner, 1);
            names.batch_norm(name + "bn3", out);
            if (block == 0) {
                names.convolution(name + "downsample.0", out, in, 1);
                names.batch_norm(name + "downsample.1", out);
            }
            in = out;
        }
    }
}

void add_mmseg_backbone(ProjectNames& names, std::int64_t width) {
    const std::int64_t half = width / 2;
    names.convolution("backbone.stem.0", half, 3, 3);
    names.batch_norm("backbone.stem.1", half);
    names.convolution("backbone.stem.3", half, half, 3);
    names.batch_norm("backbone.stem.4", half);
    names.convolution("backbone.stem.6", width, half, 3);
    names.batch_norm("backbone.stem.7", width);
    add_resnet50_stages(names, "backbone.", width);
}

/// MMSegmentation's ConvModule.
void add_module(ProjectNames& names, const std::string& name, std::int64_t out, std::int64_t in,
                std::int64_t kernel) {
    names.convolution(name + ".conv", out, in, kernel);
    names.batch_norm(name + ".bn", out);
}

void add_mmseg_ending(ProjectNames& names, std::int64_t joined, std::int64_t width, std::int64_t classes) {
    const std::int64_t channels = 8 * width, stage3 = 16 * width;
    add_module(names, "decode_head.bottleneck", channels, joined, 3);
    names.convolution("decode_head.conv_seg", classes, channels, 1, Bias::yes);
    add_module(names, "auxiliary_head.convs.0", stage3 / 4, stage3, 3);
    names.convolution("auxiliary_head.conv_seg", classes, stage3 / 4, 1, Bias::yes);
}

struct BlockNames {
    std::string block, norm, qkv, projection, first, second;
};

void add_blocks(ProjectNames& names, const TransformerSizes& sizes, const BlockNames& called) {
    const std::int64_t width = sizes.width;
    for (std::int64_t i = 0; i < sizes.depth; ++i) {
        const std::string block = called.block + number(i) + ".";
        names.affine(block + called.norm + "1", width);
        names.affine(block + called.norm + "2", width);
        names.tensor(block + called.qkv + "weight", {3 * width, width});
        names.tensor(block + called.qkv + "bias", {3 * width});
        names.linear(block + called.projection, width, width);
        names.linear(block + called.first, 4 * width, width);
        names.linear(block + called.second, width, 4 * width);
    }
}

const BlockNames timm_blocks{"blocks.", "norm", "attn.qkv.", "attn.proj", "mlp.fc1", "mlp.fc2"};

void add_residual_block(ProjectNames& names, const std::string& name, std::int64_t out, std::int64_t in,
                        bool timed) {
    if (timed) names.linear(name + "mlp.1", out, 128);
    names.convolution(name + "block1.proj", out, in, 3, Bias::yes);
    names.affine(name + "block1.norm", out);
    names.convolution(name + "block2.proj", out, out, 3, Bias::yes);
    names.affine(name + "block2.norm", out);
    names.convolution(name + "res_conv", out, in, 1, Bias::yes);
}

void add_linear_attention(ProjectNames& names, const std::string& name, std::int64_t channels) {
    names.affine(name + "fn.norm", channels);
    names.convolution(name + "fn.fn.to_qkv", 384, channels, 1);
    names.convolution(name + "fn.fn.to_out.0", channels, 128, 1, Bias::yes);
    names.affine(name + "fn.fn.to_out.1", channels);
}

}  // namespace

std::int64_t ProjectNames::Tensor::elements() const {
    std::int64_t product = 1;
    for (const std::int64_t size : sizes) product *= size;
    return product;
}

void ProjectNames::convolution(const std::string& name, std::int64_t out, std::int64_t in,
                               std::int64_t kernel, Bias bias) {
    tensor(name + ".weight", {out, in, kernel, kernel});
    if (bias == Bias::yes) tensor(name + ".bias", {out});
}

void ProjectNames::linear(const std::string& name, std::int64_t out, std::int64_t in) {
    tensor(name + ".weight", {out, in});
    tensor(name + ".bias", {out});
}

void ProjectNames::affine(const std::string& name, std::int64_t channels) {
    tensor(name + ".weight", {channels});
    tensor(name + ".bias", {channels});
}

void ProjectNames::batch_norm(const std::string& name, std::int64_t channels) {
    affine(name, channels);
    tensor(name + ".running_mean", {channels});
    tensor(name + ".running_var", {channels});
    tensor(name + ".num_batches_tracked", {});
}

ProjectNames timm_vision_transformer(const TransformerSizes& sizes) {
    ProjectNames names;
    names.tensor("cls_token", {1, 1, sizes.width});
    names.tensor("pos_embed", {1, sizes.tokens + 1, sizes.width});
    names.convolution("patch_embed.proj", sizes.width, 3, sizes.patch, Bias::yes);
    add_blocks(names, sizes, timm_blocks);
    names.affine("norm", sizes.width);
    names.linear("head", 1000, sizes.width);
    return names;
}

ProjectNames vessel_setr(const TransformerSizes& sizes, std::int64_t classes) {
    ProjectNames names;
    names.convolution("patch_embed.proj", sizes.width, 3, sizes.patch, Bias::yes);
    names.tensor("pos_embed", {1, sizes.tokens, sizes.width});
    add_blocks(names, sizes, {"blocks.", "norm", "attn.qkv.", "attn.proj", "ffn.fc1", "ffn.fc2"});
    names.affine("norm", sizes.width);
    for (const char* level : {"0", "1", "2"}) {
        names.convolution(std::string("mla_projs.") + level, 64, sizes.width, 1, Bias::yes);
    }
    std::int64_t in = 64, layer = 0;
    for (const std::int64_t out : {128, 128, 64, 64}) {
        names.convolution("decoder." + number(layer), out, in, 3, Bias::yes);
        names.batch_norm("decoder." + number(layer + 1), out);
        in = out;
        layer += 4;
    }
    names.convolution("head", classes, in, 1, Bias::yes);
    return names;
}

ProjectNames fudan_setr(const TransformerSizes& sizes, std::int64_t classes) {
    ProjectNames encoder;
    encoder.tensor("cls_token", {1, 1, sizes.width});
    encoder.tensor("pos_embed", {1, sizes.tokens + 1, sizes.width});
    encoder.convolution("patch_embed.proj", sizes.width, 3, sizes.patch, Bias::yes);
    add_blocks(encoder, sizes, timm_blocks);
    for (const char* level : {"0", "1", "2", "3"}) {
        encoder.affine(std::string("norm_") + level, sizes.width);
    }
    for (const char* level : {"2", "3", "4", "5"}) {
        const std::string name = std::string("mla.mla_p") + level;
        encoder.convolution(name + "_1x1.0", 256, sizes.width, 1);
        encoder.batch_norm(name + "_1x1.1", 256);
        encoder.convolution(name + ".0", 256, 256, 3);
        encoder.batch_norm(name + ".1", 256);
    }
    ProjectNames names = encoder.renamed([](const std::string& name) { return "backbone." + name; });
    for (const char* level : {"2", "3", "4", "5"}) {
        const std::string name = std::string("decode_head.mlahead.head") + level;
        names.convolution(name + ".0", 128, 256, 3);
        names.batch_norm(name + ".1", 128);
        names.convolution(name + ".3", 128, 128, 3);
        names.batch_norm(name + ".4", 128);
    }
    names.convolution("decode_head.cls", classes, 512, 3, Bias::yes);
    for (const char* level : {"0", "1", "2", "3"}) {
        names.convolution(std::string("auxiliary_head.") + level + ".aux", classes, 256, 1);
    }
    return names;
}

ProjectNames mmseg_setr(const TransformerSizes& sizes, std::int64_t classes) {
    ProjectNames encoder;
    encoder.tensor("cls_token", {1, 1, sizes.width});
    encoder.tensor("pos_embed", {1, sizes.tokens + 1, sizes.width});
    encoder.convolution("patch_embed.projection", sizes.width, 3, sizes.patch, Bias::yes);
    add_blocks(
        encoder, sizes,
        {"layers.", "ln", "attn.attn.in_proj_", "attn.attn.out_proj", "ffn.layers.0.0", "ffn.layers.1"});
    ProjectNames names = encoder.renamed([](const std::string& name) { return "backbone." + name; });
    for (const char* level : {"0", "1", "2", "3"}) {
        const std::string at = level;
        names.affine("neck.norm." + at, sizes.width);
        add_module(names, "neck.mla.channel_proj." + at, 256, sizes.width, 1);
        add_module(names, "neck.mla.feat_extract." + at, 256, 256, 3);
        add_module(names, "decode_head.up_convs." + at + ".0", 128, 256, 3);
        add_module(names, "decode_head.up_convs." + at + ".1", 128, 128, 3);
        names.convolution("auxiliary_head." + at + ".conv_seg", classes, 256, 1, Bias::yes);
    }
    names.convolution("decode_head.conv_seg", classes, 512, 1, Bias::yes);
    return names;
}

ProjectNames mmseg_pspnet(std::int64_t width, std::int64_t classes) {
    ProjectNames names;
    add_mmseg_backbone(names, width);
    const std::int64_t deepest = 32 * width, channels = 8 * width;
    for (const char* level : {"0", "1", "2", "3"}) {
        add_module(names, std::string("decode_head.psp_modules.") + level + ".1", channels, deepest, 1);
    }
    add_mmseg_ending(names, deepest + 4 * channels, width, classes);
    return names;
}

ProjectNames mmseg_deeplabv3(std::int64_t width, std::int64_t classes) {
    ProjectNames names;
    add_mmseg_backbone(names, width);
    const std::int64_t deepest = 32 * width, channels = 8 * width;
    add_module(names, "decode_head.image_pool.1", channels, deepest, 1);
    for (const char* branch : {"0", "1", "2", "3"}) {
        add_module(names, std::string("decode_head.aspp_modules.") + branch, channels, deepest,
                   *branch == '0' ? 1 : 3);
    }
    add_mmseg_ending(names, 5 * channels, width, classes);
    return names;
}

ProjectNames pkdiff(std::int64_t bands, std::int64_t classes) {
    constexpr std::int64_t width = 32;
    ProjectNames names;
    names.linear("time_mlp.1", 128, 32);
    names.linear("time_mlp.3", 128, 128);
    for (const auto& [stem, in] : {std::pair{"image_initial.", bands}, std::pair{"seg_initial.", classes}}) {
        add_residual_block(names, std::string(stem) + "0.", width, in, true);
        add_residual_block(names, std::string(stem) + "1.", width, width, false);
        add_residual_block(names, std::string(stem) + "2.", width, width, false);
    }
    for (std::int64_t level = 0; level < 3; ++level) {
        const std::int64_t channels = width << level;
        const std::string down = "down." + number(level) + ".", cadef = "cadef_blocks." + number(level) + ".";
        add_residual_block(names, down + "0.", channels, channels, true);
        add_residual_block(names, down + "1.", channels, channels, false);
        add_linear_attention(names, down + "2.", channels);
        names.convolution(down + "3", 2 * channels, channels, 4, Bias::yes);
        names.convolution(cadef + "to_q", 128, channels, 1);
        names.convolution(cadef + "to_kv", 256, channels + 1, 1);
        names.convolution(cadef + "to_out", channels, 128, 1, Bias::yes);
        names.convolution(cadef + "hape.mlp", 128, 67, 1, Bias::yes);
        if (level < 2) names.convolution(cadef + "alpha_gen.0", 1, 1, 3, Bias::yes);

        const std::string up = "up." + number(level) + ".";
        const std::int64_t out = 8 * width >> level, in = level == 0 ? out : 2 * out;
        add_residual_block(names, up + "0.", out, in, true);
        add_residual_block(names, up + "1.", out, out, false);
        add_linear_attention(names, up + "2.", out);
        names.tensor(up + "3.weight", {out, out / 2, 4, 4});  // transposed: what comes in first
        names.tensor(up + "3.bias", {out / 2});
    }
    add_residual_block(names, "final.0.", width, 2 * width, false);
    add_residual_block(names, "final.1.", width, width, false);
    names.convolution("final.2", classes, width, 1, Bias::yes);
    return names;
}

ProjectNames cdsp(std::int64_t width, std::int64_t classes) {
    ProjectNames names;
    names.convolution("conv1", width, 3, 7);
    names.batch_norm("bn1", width);
    add_resnet50_stages(names, "", width);
    const std::int64_t deepest = 32 * width;
    for (const char* branch : {"1", "2", "3", "4"}) {
        const std::string name = std::string("layer_pred0.aspp") + branch;
        names.convolution(name + ".atrous_conv", classes, deepest, *branch == '1' ? 1 : 3);
        names.batch_norm(name + ".bn", classes);
    }
    names.convolution("layer_pred0.global_avg_pool.1", classes, deepest, 1);
    names.batch_norm("layer_pred0.global_avg_pool.2", classes);
    names.convolution("layer_pred0.conv1", classes, 5 * classes, 1);
    names.batch_norm("layer_pred0.bn1", classes);
    names.convolution("layer_camatt.query_conv", deepest, deepest, 1, Bias::yes);
    names.convolution("layer_camatt.key_conv", deepest, deepest, 1, Bias::yes);
    names.tensor("layer_camatt.gamma", {1});
    return names;
}

}  // namespace terrane::test

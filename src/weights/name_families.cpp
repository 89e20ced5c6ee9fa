#include "weights/name_families.hpp"

#include <iterator>

/// The names that projects give to the same tensors, as data: a row is an expression and its replacement.
namespace terrane::weights {

namespace {

struct Row {
    const char* expression;
    const char* replacement;
};

// What wrappers put before a name (DistributedDataParallel, torch.compile), and what self-supervised methods
// and segmentation frameworks call the encoder. Taken off again and again.
constexpr Row wrapper_rows[] = {{R"(^((module|_orig_mod)\.)+)", ""}};
constexpr Row prefix_rows[] = {
    {R"(^((module|_orig_mod|model|encoder|backbone|transformer|student|teacher|encoder_q|vit|deit|dinov2)\.)+)",
     ""}};

// Vision transformers; the common spelling is timm's, and for the multi-level aggregation fudan-zvg/SETR's.
constexpr Row transformer_rows[] = {
    // mmseg
    {R"(^patch_embed\.projection\.)", "patch_embed.proj."},
    {R"(^layers\.(\d+)\.ln([12])\.)", "blocks.$1.norm$2."},
    {R"(^layers\.(\d+)\.)", "blocks.$1."},
    {R"(^(blocks\.\d+)\.attn\.attn\.in_proj_(weight|bias)$)", "$1.attn.qkv.$2"},
    {R"(^(blocks\.\d+)\.attn\.attn\.out_proj\.)", "$1.attn.proj."},
    {R"(^(blocks\.\d+)\.ffn\.layers\.0\.0\.)", "$1.mlp.fc1."},
    {R"(^(blocks\.\d+)\.ffn\.layers\.1\.)", "$1.mlp.fc2."},
    {R"(^ln1\.)", "norm."},
    // VesselSETR
    {R"(^(blocks\.\d+)\.ffn\.fc([12])\.)", "$1.mlp.fc$2."},
    // Hugging Face transformers
    {R"(^embeddings\.cls_token$)", "cls_token"},
    {R"(^embeddings\.position_embeddings$)", "pos_embed"},
    {R"(^embeddings\.patch_embeddings\.projection\.)", "patch_embed.proj."},
    {R"(^layer\.(\d+)\.layernorm_before\.)", "blocks.$1.norm1."},
    {R"(^layer\.(\d+)\.layernorm_after\.)", "blocks.$1.norm2."},
    {R"(^layer\.(\d+)\.attention\.attention\.)", "blocks.$1.attn."},
    {R"(^layer\.(\d+)\.attention\.output\.dense\.)", "blocks.$1.attn.proj."},
    {R"(^layer\.(\d+)\.intermediate\.dense\.)", "blocks.$1.mlp.fc1."},
    {R"(^layer\.(\d+)\.output\.dense\.)", "blocks.$1.mlp.fc2."},
    {R"(^layernorm\.)", "norm."},
    // query, key and value apart
    {R"(^(blocks\.\d+)\.attn\.(q|query|q_proj|to_q)\.(weight|bias)$)", "$1.attn.qkv.$3#q"},
    {R"(^(blocks\.\d+)\.attn\.(k|key|k_proj|to_k)\.(weight|bias)$)", "$1.attn.qkv.$3#k"},
    {R"(^(blocks\.\d+)\.attn\.(v|value|v_proj|to_v)\.(weight|bias)$)", "$1.attn.qkv.$3#v"},
    // scales of the residual branches (BEiT, DINOv2); folded into the projections they follow
    {R"(^(blocks\.\d+)\.(gamma_|ls)([12])(\.gamma)?$)", "$1.scale$3"},
};

// mmseg's SETR-MLA. Its neck takes the levels shallowest first but hands them on deepest first, so what
// follows it counts the other way round: feat_extract.0 and up_convs.0 belong to p5.
constexpr Row mmseg_aggregation_rows[] = {
    {R"(^neck\.norm\.(\d)\.)", "norm_$1."},
    {R"(^neck\.mla\.channel_proj\.0\.)", "mla.mla_p2_1x1."},
    {R"(^neck\.mla\.channel_proj\.1\.)", "mla.mla_p3_1x1."},
    {R"(^neck\.mla\.channel_proj\.2\.)", "mla.mla_p4_1x1."},
    {R"(^neck\.mla\.channel_proj\.3\.)", "mla.mla_p5_1x1."},
    {R"(^neck\.mla\.feat_extract\.0\.)", "mla.mla_p5."},
    {R"(^neck\.mla\.feat_extract\.1\.)", "mla.mla_p4."},
    {R"(^neck\.mla\.feat_extract\.2\.)", "mla.mla_p3."},
    {R"(^neck\.mla\.feat_extract\.3\.)", "mla.mla_p2."},
    {R"(^(mla\.mla_p\d(_1x1)?)\.conv\.)", "$1.0."},
    {R"(^(mla\.mla_p\d(_1x1)?)\.bn\.)", "$1.1."},
    {R"(^decode_head\.up_convs\.0\.)", "decode_head.mlahead.head5."},
    {R"(^decode_head\.up_convs\.1\.)", "decode_head.mlahead.head4."},
    {R"(^decode_head\.up_convs\.2\.)", "decode_head.mlahead.head3."},
    {R"(^decode_head\.up_convs\.3\.)", "decode_head.mlahead.head2."},
    {R"(^(decode_head\.mlahead\.head\d)\.1\.conv\.)", "$1.3."},
    {R"(^(decode_head\.mlahead\.head\d)\.1\.bn\.)", "$1.4."},
    {R"(^(decode_head\.mlahead\.head\d)\.0\.conv\.)", "$1.0."},
    {R"(^(decode_head\.mlahead\.head\d)\.0\.bn\.)", "$1.1."},
    {R"(^auxiliary_head\.0\.conv_seg\.)", "auxiliary_head.level3.conv_seg."},
    {R"(^auxiliary_head\.1\.conv_seg\.)", "auxiliary_head.level2.conv_seg."},
    {R"(^auxiliary_head\.2\.conv_seg\.)", "auxiliary_head.level1.conv_seg."},
    {R"(^auxiliary_head\.3\.conv_seg\.)", "auxiliary_head.level0.conv_seg."},
};
constexpr Row level_rows[] = {{R"(^auxiliary_head\.(\d)\.conv_seg\.)", "auxiliary_head.level$1.conv_seg."}};

// Class-driven scribble promotion: versions 3 and later call the rectification module otherwise.
constexpr Row scribble_rows[] = {{R"(^layer_lorm\.)", "layer_camatt."}};

template <std::size_t count>
void add(std::vector<NameRule>& rules, const Row (&rows)[count]) {
    for (const Row& row : rows) {
        rules.push_back(
            {std::regex(row.expression, std::regex::ECMAScript | std::regex::optimize), row.replacement});
    }
}

std::vector<NameFamily> make_families() {
    std::vector<NameFamily> families;
    NameFamily own{"the network's own names", {}, {}, ""};
    add(own.source_rules, wrapper_rows);
    families.push_back(own);

    NameFamily scribble{"scribble promotion (CDSP)", {}, {}, "layer_pred0.conv1.weight"};
    add(scribble.source_rules, wrapper_rows);
    add(scribble.source_rules, scribble_rows);
    families.push_back(scribble);

    NameFamily resnet{"ResNet (torchvision, mmseg)", {}, {}, "layer1.0.conv1.weight"};
    add(resnet.source_rules, prefix_rows);
    families.push_back(resnet);

    NameFamily transformer{"vision transformer (timm, MAE, DINO, mmseg)", {}, {}, "blocks.0.norm1.weight"};
    add(transformer.source_rules, prefix_rows);
    add(transformer.source_rules, transformer_rows);
    add(transformer.target_rules, transformer_rows);
    families.push_back(transformer);

    NameFamily aggregation{"SETR-MLA (mmseg)", {}, {}, "blocks.0.norm1.weight"};
    add(aggregation.source_rules, prefix_rows);
    add(aggregation.source_rules, transformer_rows);
    add(aggregation.source_rules, mmseg_aggregation_rows);
    add(aggregation.target_rules, transformer_rows);
    add(aggregation.target_rules, level_rows);
    families.push_back(aggregation);
    return families;
}

bool found_in(std::string_view name, const std::regex& expression) {
    return std::regex_search(name.begin(), name.end(), expression);
}

}  // namespace

const std::vector<NameFamily>& name_families() {
    static const std::vector<NameFamily> families = make_families();
    return families;
}

std::string apply_rules(const std::vector<NameRule>& rules, std::string name) {
    for (const NameRule& rule : rules) name = std::regex_replace(name, rule.expression, rule.replacement);
    return name;
}

bool is_first_convolution(std::string_view name) {
    static const std::regex first(
        R"((^|\.)(conv1|stem\.0|patch_embed\.proj(ection)?|image_initial\.0)\.weight$)");
    static const std::regex inside(R"((^|\.)((layer|blocks?|layers)\.?|layer_pred)\d)");
    return found_in(name, first) && !found_in(name, inside);
}

bool is_position_table(std::string_view name) {
    return name == "pos_embed" || name.ends_with(".pos_embed");
}

bool is_negligible(std::string_view name) {
    return name.ends_with("num_batches_tracked");
}

}  // namespace terrane::weights

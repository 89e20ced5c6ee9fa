#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "graph/builder.hpp"

namespace terrane::nets {

/// A vision transformer (Dosovitskiy et al. 2021) as an encoder of maps. Tokens stay a map [batch, image /
/// patch, image / patch, width] throughout: no step changes their order, so nothing is ever reshaped. The
/// names are timm's: patch_embed.proj, pos_embed, blocks.N.{norm1, attn.qkv, attn.proj, norm2, mlp.fc1,
/// mlp.fc2}.
struct VisionTransformerDesign {
    std::int64_t patch = 16;
    std::int64_t depth = 12;
    std::int64_t width = 768;
    std::int64_t heads = 12;
    std::int64_t hidden = 3072;  ///< channels inside a block's two-layer perceptron
    double epsilon = 1e-6;       ///< of the layer norms
    double dropout = 0;  ///< on attention, its projection and both layers of the perceptron; in training
    std::string_view perceptron = "mlp";  ///< the name between blocks.N and fc1

    /// Whether there is a parameter cls_token with a row of its own in pos_embed. The token itself takes part
    /// in nothing: the networks here drop it before the first block. It is kept so that weights fit.
    enum class ClassToken { no, yes } class_token = ClassToken::no;
    /// Whether there is a norm after the last block, which no tap reads. Kept for the same reason.
    enum class FinalNorm { no, yes } final_norm = FinalNorm::no;
};

/// From [model.vit]. Throws Error E0546 for sizes that contradict each other.
VisionTransformerDesign vision_transformer_design(const config::Model& model);

/// The block outputs at `taps` (0: after the first block, ascending). The image is [batch, n * patch, n *
/// patch, bands].
std::vector<graph::ValueId> vision_transformer(graph::GraphBuilder& build,
                                               const VisionTransformerDesign& design, graph::ValueId image,
                                               std::span<const std::int64_t> taps);

/// A layer norm with parameters name.weight and name.bias.
graph::ValueId layer_norm(graph::GraphBuilder& build, std::string_view name, graph::ValueId x,
                          double epsilon);

}  // namespace terrane::nets

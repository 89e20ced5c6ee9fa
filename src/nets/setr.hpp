#pragma once

#include "nets/network.hpp"

namespace terrane::nets {

/// setr_light: a ViT (B/16 by default) and a light decoder, the network that the VesselSETR project trains,
/// under its names: patch_embed.proj, pos_embed (no class token), blocks.N.{norm1, attn.qkv, attn.proj,
/// norm2, ffn.fc1, ffn.fc2}, norm (part of its files, read by nothing), mla_projs.I, decoder.{4i}
/// (convolution), decoder.{4i + 1} (norm), head.
///   levels: outputs of blocks 0, depth / 2, depth - 1, each through a 1x1 convolution to 64 channels,
///   summed; decoder: log2(patch) times 3x3 convolution (bias), norm, ReLU, x 2 bilinear (corners aligned),
///   with 128, 128, 64, 64, then 32 channels; head: 1x1 at full resolution.
/// The classes' logits are [batch, height, width, classes]. ViT-B/16 at 224 with three bands and two classes
/// has 86,277,826 parameters, 480,706 of them outside the encoder.
NetworkHeads setr_light(graph::GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                        const NetworkValues& values);

/// setr_mla: SETR with the multi-level aggregation head (Zheng et al. 2021), under the names of the authors'
/// code (fudan-zvg/SETR), whatever the variant of the head: backbone.{cls_token, pos_embed, patch_embed.proj,
/// blocks.N..., norm_0..3}, backbone.mla.mla_p{2..5}_1x1.{0, 1}, backbone.mla.mla_p{2..5}.{0, 1},
/// decode_head.mlahead.head{2..5}.{0, 1, 3, 4}, decode_head.cls, auxiliary_head.I.aux. Level 2 is the
/// shallowest.
///   levels: outputs of the last block of each quarter (2, 5, 8, 11 in ViT-B), a layer norm each;
///   neck: 1x1 to 256 channels, norm, ReLU; sums from the deepest level up; 3x3, norm, ReLU;
///   head: per level two 3x3 to 128 channels with norm and ReLU, x 4 bilinear; joined; to classes;
///   one auxiliary classifier (1x1) per level in training.
/// model.vit.head: "fudan" resizes with aligned corners, ends in a 3x3 (decode_head.cls) and has auxiliary
/// classifiers without bias; "mmseg" (the released MMSegmentation variant) resizes with half-pixel corners,
/// ends in a 1x1 (decode_head.conv_seg) and has auxiliary classifiers (auxiliary_head.I.conv_seg) with bias.
NetworkHeads setr_mla(graph::GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                      const NetworkValues& values);

}  // namespace terrane::nets

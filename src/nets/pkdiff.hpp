#pragma once

#include <array>
#include <optional>
#include <vector>

#include "nets/network.hpp"

/// The network of PKDiff: a U-Net without pretraining that is told the time and sees a noisy soft label map
/// beside the image, and answers with what to subtract from that map. It is run again and again on its own
/// answers, from coarse to fine; nets/diffusion_graphs.hpp has the graphs of that recursion. Parameter names
/// are the published implementation's (time_mlp, image_initial, seg_initial, down, cadef_blocks, up, final).
namespace terrane::nets {

/// Levels of the U-Net; maps must be multiples of 2^levels.
inline constexpr int pkdiff_levels = 3;

/// What CADEF knows about the heights under one level of the encoder; constant over the recursion.
struct HeightGuide {
    graph::ValueId encoding;  ///< ops::HeightEncoding, at the resolution of the tokens
    std::optional<graph::ValueId>
        slope;  ///< ops::SlopeMagnitude at the level's resolution; not at the coarsest
};
using HeightGuides = std::array<HeightGuide, pkdiff_levels>;

/// What the network reads.
struct PkdiffInputs {
    graph::ValueId noisy;                ///< [N,h,w,K]
    graph::ValueId image;                ///< [N,h,w,bands]
    graph::ValueId time;                 ///< f32 [1], in (0, 1]
    std::optional<HeightGuides> guides;  ///< none: no CADEF
    std::int64_t height_band = -1;       ///< of the image; only for the dual encoder
};

/// The height that guides CADEF as a band of the joined image: the first band of modality
/// model.diffusion.height. The names height, dsm and ndsm mean the same: where the one asked for is absent,
/// another of them will do. None with cadef = "off". Throws Error E0548 if there is no such modality.
std::optional<std::int64_t> height_band_of(const config::Diffusion& diffusion, const NetworkInputs& inputs);

/// Factor by which a level's map is pooled before its tokens attend to each other: 4, 2, 1, and more where
/// the map has over 4096 positions.
std::int64_t cadef_shrink(int level, std::int64_t height, std::int64_t width);

/// Guides from a height map [N,h,w,1] for the network on maps of that size. `whole`: the maps that the
/// heights were cut from, if it is their range that counts (model.diffusion.dsm_norm = "tile").
HeightGuides height_guides(graph::GraphBuilder& build, const config::Diffusion& diffusion,
                           graph::ValueId height, std::optional<graph::ValueId> whole = {});

/// The answer f [N,h,w,K].
graph::ValueId pkdiff_network(graph::GraphBuilder& build, const config::Diffusion& diffusion,
                              std::int64_t classes, const PkdiffInputs& inputs);

/// One pass of the network as a network of its own, for `inspect`, benchmarks and comparisons: further inputs
/// "noisy" [batch, height, width, classes] and "time" f32 [1]; the answer stands in for logits.
NetworkHeads pkdiff(graph::GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                    const NetworkValues& values);

}  // namespace terrane::nets

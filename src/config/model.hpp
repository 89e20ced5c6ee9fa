#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// The tables about the network and what it is trained towards. One struct per TOML table, defaults included; see
/// config/config.hpp.
namespace terrane::config {

/// What pspnet and deeplabv3 are built with beside the shared keys: [model.pyramid].
struct Pyramid {
    std::string stem = "deep";           ///< deep (three 3x3 convolutions, "V1c") or single (one 7x7)
    std::int64_t channels = 0;           ///< width of the head; 0: a quarter of the encoder's deepest map
    std::vector<std::int64_t> bins{1, 2, 3, 6};      ///< pspnet: cells per side of the pooled grids
    std::vector<std::int64_t> rates{12, 24, 36};     ///< deeplabv3: dilations beside the 1x1 branch
    double auxiliary_weight = 0.4;       ///< loss weight of the auxiliary head; 0: none
    bool align_corners = false;          ///< how maps are resized; true for crops of 8 x + 1 pixels
};

/// What res50_aspp_lorm is built with beside the shared keys: [model.atrous].
struct Atrous {
    std::vector<std::int64_t> rates{12, 18, 24};  ///< dilations of the classifiers beside the 1x1 one
    std::vector<std::int64_t> grid{4, 8, 16};     ///< dilations of the blocks of the encoder's last stage
};

/// What pkdiff is built and run with: [model.diffusion].
struct Diffusion {
    std::int64_t width = 32;       ///< channels of the first level; 32 is the published network
    std::int64_t heads = 4;        ///< of attention, 32 channels each
    std::string cadef = "self";    ///< self (published), dual (an encoder for the height), off
    std::string height = "dsm";    ///< the modality that guides CADEF; height, dsm and ndsm are synonyms
    std::string gate = "falling";  ///< falling (published: heights falling right or down), all
    std::string border = "zero";  ///< zero (published), replicate: beyond the border of the height's gradient
    std::string dsm_norm = "patch";    ///< patch (published), tile: whose range scales the guiding height
    std::string preset = "published";  ///< published (25 timesteps), fast (4)
    std::int64_t timesteps = 0;        ///< 0: the preset's
    std::int64_t scales = 3;           ///< resolutions per timestep, each half the next
    std::int64_t max_patch = 128;      ///< largest map that the network sees; larger ones are cut
    std::string state = "simplex";     ///< simplex, raw (published: evaluation goes on with the raw estimate)
    bool state_softmax = true;         ///< published: the state passes a softmax before the noise
    std::string update = "replace";    ///< replace (published), ema, gated
    std::string patch_reduce = "mean";  ///< mean, sum (published): gradients of a scale's patches
    std::string void_pixels = "mask";   ///< mask, zero (published): pixels without a class
    double least_sum = 0;               ///< lower bound of the divisor of the projection onto shares
    double pk_weight = 0.075;           ///< of the projection-kernel loss; 0: without
    double pk_bandwidth = 1;
    std::int64_t pk_samples = 8192;         ///< pixels drawn per pass
    std::string pk_measure = "gauss";       ///< gauss, sphere
    std::string pk_scope = "rank";          ///< rank (published), global, image
    std::string pk_targets = "atoms";       ///< atoms (all targets, exact), sampled (published)
    std::string pk_estimator = "unbiased";  ///< unbiased, biased
    double ce_weight = 0;                   ///< of the cross-entropy of the class shares
    double dice_weight = 0;                 ///< of the Dice loss of the class shares
    std::int64_t ensemble = 1;  ///< runs of the recursion whose results are averaged, when predicting
};

/// The encoder of setr_light and setr_mla: [model.vit].
struct VisionTransformer {
    std::int64_t image = 0;              ///< edge of the images that the positional embedding is for; 0: the crop
    std::int64_t patch = 16;
    std::int64_t depth = 12;
    std::int64_t width = 768;
    std::int64_t heads = 12;
    double mlp_ratio = 4;                ///< channels inside a block's perceptron per channel of its input
    double epsilon = 1e-6;               ///< of the layer norms
    double dropout = -1;                 ///< -1: the network's own (setr_light 0.1, setr_mla 0)
    std::vector<std::int64_t> taps{};    ///< blocks whose outputs are read; empty: the network's own
    std::string head = "fudan";          ///< setr_mla: fudan, mmseg
    double auxiliary_weight = 0.4;       ///< setr_mla: loss weight of each level's auxiliary classifier; 0: none
};

struct Model {
    std::string name = "duet";
    std::string encoder = "auto";        ///< auto (the network's own), resnet18, resnet34, resnet50, resnet101
    std::int64_t encoder_width = 64;     ///< channels of the first stage; 64 is the published network
    std::int64_t output_stride = 0;      ///< 8 or 16; 0: the network's own
    std::string norm = "auto";           ///< auto (the network's own), batch, sync_batch, group
    double modality_dropout = 0;         ///< probability that a modality of a training sample is withheld
    std::int64_t decoder_channels = 128;
    std::int64_t decoder_stride = 2;     ///< stride of the logits: 2 (fine objects) or 4 (cheaper)
    std::int64_t aspp_channels = 128;
    std::vector<std::int64_t> aspp_rates{6, 12, 18};  ///< at output stride 16; doubled at 8
    double dropout = 0.1;
    Pyramid pyramid;
    Atrous atrous;
    Diffusion diffusion;
    std::string frozen = "none";         ///< none, encoder: not trained, provided its weights were loaded
    bool frozen_dropout = false;         ///< whether frozen parts still drop out in training
    VisionTransformer vit;
};

struct LossTerm {
    /// cross_entropy, focal, dice, tversky, lovasz, boundary, distance_entropy, rectification
    std::string name = "cross_entropy";
    std::string target = "label";        ///< the map it looks at: label, scribble, pseudo
    double weight = 1;
    double label_smoothing = -1;         ///< cross_entropy; -1: loss.label_smoothing
    double gamma = 2;                    ///< focal
    double alpha = 0.5;                  ///< tversky: price of a false positive
    double beta = 0.5;                   ///< tversky: price of a false negative
    double exponent = 1;                 ///< tversky: focal Tversky loss
    double smooth = 1;                   ///< dice, tversky
    std::string over = "auto";           ///< dice, tversky, lovasz: batch or image; auto: batch, lovasz: image
};

struct Loss {
    std::vector<LossTerm> terms{{}};
    double label_smoothing = 0;
    std::string normalise = "valid";     ///< the mean is over valid pixels, or over all, ignored ones included
    std::string class_weights = "none";  ///< none, sqrt_inverse, inverse, median; [[class]].weight wins
};

}  // namespace terrane::config

#include <fmt/format.h>

#include "synth/placement.hpp"
#include "synth/scene_writer.hpp"

namespace terrane::synth {

namespace {

constexpr const char* head = R"(# A synthetic scene with known truth, {size} x {size} pixels, seed {seed}.
# terrane data synth -o FOLDER --size {size} --seed {seed}
format = 1

[grid]
reference = "optical"
tile = 128

[[modality]]
name = "optical"           # red, green, blue, near infrared at 0.5 m, {scene_crs}
files = ["optical.tif"]
bands = [1, 2, 3, 4]

[[modality]]
name = "height"            # surface heights at 1 m, {height_crs}; each tile relative to its own low
files = ["height.tif"]
scale = 2
relative = true

[[modality]]
name = "sar"               # VV and VH in decibels at 2 m
files = ["sar.tif"]
scale = 4
clip_low = -32.0
clip_high = 5.0

[label]
files = ["labels.tif"]
ignore = [255]
)";

constexpr const char* tail = R"(
[split]
method = "blocks"
block = 4
buffer = 16.0
fractions = [0.6, 0.15, 0.25]

[sampler]
balance = 0.7

[augment]
flips = true
brightness = 0.1
contrast = 0.1
photometric = ["optical", "sar"]

[model]                    # small: made for a few minutes on two cores
name = "duet"
encoder = "resnet18"
encoder_width = 16
decoder_channels = 32
aspp_channels = 32
modality_dropout = 0.05

[loss]
class_weights = "inverse"    # cars are 0.4 % of the pixels: with weaker weights they stay undetected for long

[[loss.terms]]
name = "cross_entropy"

[[loss.terms]]
name = "dice"
weight = 0.5

[optim]
name = "adamw"
lr = 0.003
weight_decay = 0.01
schedule = "cosine"
warmup_steps = 30

[train]
steps = 1000               # whatever the size of the scene
global_batch = 8

[eval]
every_steps = 200

[data]
tiles = "tiles"
)";

}  // namespace

std::string weak_configuration() {
    return R"(# Scribbles and pseudo-labels of the scene, for weak supervision; give this file after scene.toml:
# terrane data build -c scene.toml -c weak.toml -o tiles
[scribble]
files = ["scribbles.tif"]      # thin strokes inside areas of one class

[pseudo]
files = ["pseudo_labels.tif"]  # the truth with displaced outlines and overlooked objects
)";
}

std::string scene_configuration(const SceneOptions& options) {
    std::string text =
        fmt::format(fmt::runtime(head), fmt::arg("size", options.size), fmt::arg("seed", options.seed),
                    fmt::arg("scene_crs", scene_crs), fmt::arg("height_crs", height_crs));
    for (std::size_t k = 0; k < land_cover_count; ++k) {
        const LandCoverInfo& cover = info(static_cast<LandCover>(k));
        text += fmt::format("\n[[class]]\nid = {}\nname = \"{}\"\ncolor = [{}, {}, {}]\n", k, cover.name,
                            cover.color[0], cover.color[1], cover.color[2]);
    }
    return text + tail;
}

}  // namespace terrane::synth

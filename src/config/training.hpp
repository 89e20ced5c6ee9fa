#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

/// The tables about a training run: what it is fed with, how long it goes on, what it keeps. One struct per TOML table, defaults included; see
/// config/config.hpp.
namespace terrane::config {

struct Sampler {
    double balance = 0;                  ///< 0: every tile once an epoch; 1: tiles drawn so that classes are even
    std::int64_t tiles_per_epoch = 0;    ///< 0: the number of training tiles
};

struct Augment {
    bool flips = true;                   ///< the eight symmetries of the square
    double rotation = 0;                 ///< further rotation, uniform in +-degrees
    std::array<double, 2> zoom{1.0, 1.0};///< uniform range of the scale factor
    double brightness = 0;               ///< shift of each modality, uniform in +-standard deviations
    double contrast = 0;                 ///< gain of each modality, uniform in 1 +- this
    double noise = 0;                    ///< Gaussian noise, in standard deviations
    std::int64_t crop = 0;               ///< edge of the training crop in reference pixels; 0: the stored tile
    std::vector<std::string> photometric;///< modalities that brightness/contrast/noise apply to; empty: all
};

struct Train {
    std::int64_t epochs = 20;
    std::int64_t steps = 0;              ///< > 0: this many optimizer steps instead of epochs
    std::int64_t global_batch = 8;       ///< samples per optimizer step over all ranks and micro-steps
    std::int64_t batch = 0;              ///< samples per rank and micro-step; 0: global_batch / ranks
    std::string precision = "fp32";      ///< fp32, tf32, bf16, fp16
    std::string init_weights;            ///< checkpoint or safetensors file to start from
    std::string resume = "auto";         ///< auto, never, or a checkpoint folder
    std::int64_t prefetch = 4;           ///< batches the feeder reads ahead
    std::int64_t max_bad_steps = 10;     ///< updates in a row that may be left out because they are not finite, less one
    std::int64_t virtual_shards = 8;     ///< with runtime.deterministic = "ranks": parts of the global batch
    std::string gradient_sums = "fp32";  ///< fp32, bf16: the type in which GPUs sum gradients over ranks
    std::string recompute = "none";      ///< none, blocks: activations inside a block are computed again for backward
};

/// How train.init_weights from elsewhere are fitted to the network.
struct Import {
    std::string match = "auto";          ///< auto (checkpoints of terrane strictly, other files what fits), strict, loose
    std::string part;                    ///< key of a .pth file under which the weights lie; empty: found by itself
    std::string positions = "bilinear";  ///< resize of positional embeddings: bilinear, bicubic
    std::string bands = "repeat";        ///< first convolution for other bands: repeat (and scale), zero
    std::string missing = "error";       ///< train.init_weights that do not exist: error, warn
};

struct Eval {
    std::int64_t every = 1;              ///< epochs between evaluations on val; 0: only at the end
    std::int64_t every_steps = 0;        ///< > 0: steps between evaluations instead
    std::int64_t batch = 0;              ///< 0: the training batch per rank
    std::string best = "miou";           ///< score that chooses ckpt/best: miou, mf1, oa, kappa
};

struct Checkpoint {
    std::int64_t every = 0;              ///< steps; 0: with every evaluation
    std::int64_t keep = 2;               ///< periodic checkpoints kept beside last and best
};

/// What is recorded of a run beside its scores.
struct Report {
    std::int64_t every = 1;              ///< steps whose means make a row of steps.csv and a point of a curve
    bool tensorboard = true;             ///< event files in the run folder's tb/
    std::int64_t images = 4;             ///< val tiles shown with every evaluation, in preview/ and tb/
};

}  // namespace terrane::config

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// The whole configuration of a run as plain values, defaults included. One struct per TOML table; the option
/// registry (config/registry.hpp) is the only place that knows how keys, types, ranges and help texts map to them.
namespace terrane::config {

/// Common grid of all modalities of a scene. Either `reference` names a modality whose raster gives CRS,
/// resolution and extent, or `crs` and `resolution` (and optionally `extent`) define it.
struct Grid {
    std::string reference;               ///< modality name or "label"; empty: the first modality
    std::string crs;                     ///< anything GDAL understands ("EPSG:25832", WKT)
    double resolution = 0;               ///< ground sampling distance in CRS units; 0: the reference's
    std::vector<double> extent;          ///< [west, south, east, north] in CRS units; empty: the reference's
    std::int64_t tile = 256;             ///< edge of a stored tile, in reference pixels
    std::int64_t stride = 0;             ///< distance of tile origins; 0: the tile edge (no overlap)
    double min_valid = 0.05;             ///< tiles with a smaller labelled fraction of pixels are not stored
};

/// One sensor product: rasters that share bands and meaning.
struct Modality {
    std::string name;
    std::vector<std::string> files;      ///< paths or globs; absolute once read (relative ones: to the config file)
    std::string scene;                   ///< regular expression whose first group is the scene id; empty: file stem
    std::vector<std::int64_t> bands;     ///< 1-based; empty: all
    std::string resampling = "bilinear"; ///< nearest, bilinear, cubic, average
    std::int64_t scale = 1;              ///< its pixel is `scale` reference pixels wide (kept at native resolution)
    std::optional<double> nodata;        ///< overrides the raster's own nodata value
    std::vector<double> nodata_also;     ///< further values to be masked
    std::string crs;                     ///< overrides a missing or wrong CRS
    std::string norm = "standard";       ///< standard (mean/std of training tiles), minmax, none
    double multiply = 1;                 ///< value * multiply + add, before normalisation
    double add = 0;
    std::optional<double> clip_low;      ///< values outside are clamped, after multiply/add
    std::optional<double> clip_high;
    std::optional<double> fill;          ///< what an invalid pixel stands for, after multiply, add and relative; none: the mean
    bool relative = false;               ///< subtract each tile's 2nd percentile (heights above the local low)
};

/// Where the truth is and how it is coded.
struct Label {
    std::vector<std::string> files;
    std::string scene;
    std::string encoding = "index";      ///< index (one band of class values) or palette (RGB by [[class]].color)
    std::vector<std::int64_t> ignore;    ///< raster values that are not scored and not learned
    std::string undefined = "error";     ///< a value or colour in no class: error or ignore
    std::map<std::int64_t, std::int64_t> remap;  ///< raster value -> [[class]].id, before anything else
    std::string crs;
};

/// One class; its place in the list is its index in the network's output.
struct Class {
    std::int64_t id = 0;                 ///< the value in label rasters and in the map that predict writes
    std::string name;
    std::array<int, 3> color{0, 0, 0};
    double weight = 0;                   ///< weight in the loss; 0: automatic by loss.class_weights
};

/// A polygon-free way to give an area: a rectangle in CRS units of the grid.
struct SplitRegion {
    std::string split;                   ///< train, val or test
    std::vector<double> bounds;          ///< [west, south, east, north]
};

struct Split {
    std::string method = "blocks";       ///< blocks, files, polygons, regions
    std::int64_t block = 4;              ///< blocks: edge of a block in tiles
    double buffer = 0;                   ///< CRS units kept free between splits
    std::array<double, 3> fractions{0.7, 0.15, 0.15};  ///< train, val, test
    std::map<std::string, std::string> files;          ///< files: regular expression on the scene id -> split
    std::string polygons;                ///< polygons: vector file with a field "split"
    std::vector<SplitRegion> regions;    ///< regions: [[split.region]]
};

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

/// What pspnet and deeplabv3 are built with beside the shared keys: [model.pyramid].
struct Pyramid {
    std::string stem = "deep";           ///< deep (three 3x3 convolutions, "V1c") or single (one 7x7)
    std::int64_t channels = 0;           ///< width of the head; 0: a quarter of the encoder's deepest map
    std::vector<std::int64_t> bins{1, 2, 3, 6};      ///< pspnet: cells per side of the pooled grids
    std::vector<std::int64_t> rates{12, 24, 36};     ///< deeplabv3: dilations beside the 1x1 branch
    double auxiliary_weight = 0.4;       ///< loss weight of the auxiliary head; 0: none
    bool align_corners = false;          ///< how maps are resized; true for crops of 8 x + 1 pixels
};

/// What pkdiff is built and run with: [model.diffusion].
struct Diffusion {
    std::int64_t width = 32;       ///< channels of the first level; 32 is the published network
    std::int64_t heads = 4;        ///< of attention, 32 channels each
    std::string cadef = "self";    ///< self (published), dual (an encoder for the height), off
    std::string height = "dsm";    ///< the modality that CADEF is guided by; absent: no CADEF
    std::string gate = "falling";  ///< falling (published: heights falling right or down), all
    std::string border = "zero";  ///< zero (published), replicate: beyond the border of the height's gradient
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
    std::string pk_scope = "rank";          ///< rank (published), global
    std::string pk_targets = "atoms";       ///< atoms (all targets, exact), sampled (published)
    std::string pk_estimator = "unbiased";  ///< unbiased, biased
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
    Diffusion diffusion;
    std::string frozen = "none";         ///< none, encoder: not trained, provided its weights were loaded
    bool frozen_dropout = false;         ///< whether frozen parts still drop out in training
    VisionTransformer vit;
};

struct LossTerm {
    std::string name = "cross_entropy";  ///< cross_entropy, focal, dice, tversky, lovasz, boundary
    double weight = 1;
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

/// A rule for parameters whose name matches a regular expression; the first rule that matches wins.
struct ParameterGroup {
    std::string match;
    double lr_mult = 1;
    double decay_mult = 1;
    std::int64_t freeze_until = 0;       ///< optimizer steps without an update
};

struct Optim {
    std::string name = "adamw";          ///< sgd, adam, adamw
    double lr = 1e-3;
    std::string lr_scale = "none";       ///< none, linear_world (x ranks), linear_batch (x global_batch / lr_scale_batch)
    std::int64_t lr_scale_batch = 16;    ///< the batch that lr was tuned with
    double momentum = 0.9;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0.01;
    std::string decay = "weights";       ///< weights: not biases, scales and shifts of norms; all
    double clip_norm = 0;                ///< 0: no clipping
    std::string schedule = "cosine";     ///< constant, cosine, poly, step, plateau
    std::string schedule_unit = "step";  ///< step, or epoch: the rate stays during an epoch, milestones count epochs
    double warmup_steps = 0;
    std::string warmup = "linear";       ///< linear, exponential, constant
    std::optional<double> warmup_start;  ///< factor of lr at the first step; absent: 1 / (warmup_steps + 1)
    double min_lr = 0;
    double power = 0.9;                  ///< poly
    std::vector<std::int64_t> milestones;///< step: steps after which the rate is multiplied by gamma
    double gamma = 0.1;
    std::string plateau_monitor = "score"; ///< score (eval.best on val) or loss (on val)
    std::int64_t plateau_patience = 10;  ///< evaluations without gain that are endured
    double plateau_factor = 0.1;
    double plateau_threshold = 1e-4;     ///< smallest gain that counts
    double ema_decay = 0;                ///< moving average of the weights, the ones evaluated and saved; 0: none
    std::vector<ParameterGroup> groups;
    std::vector<std::string> freeze;     ///< regular expressions: parameters that are not trained, if loaded
};

struct Train {
    std::int64_t epochs = 20;
    std::int64_t steps = 0;              ///< > 0: this many optimizer steps instead of epochs
    std::int64_t global_batch = 8;       ///< samples per optimizer step over all ranks and micro-steps
    std::int64_t batch = 0;              ///< samples per rank and micro-step; 0: global_batch / ranks
    std::string precision = "fp32";      ///< fp32, bf16
    std::string init_weights;            ///< checkpoint or safetensors file to start from
    std::string resume = "auto";         ///< auto, never, or a checkpoint folder
    std::int64_t prefetch = 4;           ///< batches the feeder reads ahead
    std::string recompute = "none";      ///< none, blocks: activations inside a block are computed again for backward
};

/// How train.init_weights from elsewhere are fitted to the network.
struct Import {
    std::string match = "auto";          ///< auto (checkpoints of terrane strictly, other files what fits), strict, loose
    std::string part;                    ///< key of a .pth file under which the weights lie; empty: found by itself
    std::string positions = "bilinear";  ///< resize of positional embeddings: bilinear, bicubic
    std::string bands = "repeat";        ///< first convolution for other bands: repeat (and scale), zero
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

struct Predict {
    std::int64_t window = 0;             ///< 0: the training crop
    double overlap = 0.5;                ///< fraction of a window shared with its neighbour
    std::int64_t batch = 4;
    std::string blend = "hann";          ///< hann, mean
    bool confidence = false;             ///< also write the largest probability
    bool scores = false;                 ///< also write every class's probability
    std::int64_t quicklook = 1024;       ///< longer edge of the PNG beside the map; 0: none
};

struct Data {
    std::string tiles = "tiles";         ///< folder of the tile store, relative to the working folder
};

/// What the global command-line options set; not part of the run's identity.
struct Runtime {
    std::string out;
    bool overwrite = false;
    bool dry_run = false;
    std::int64_t threads = 0;            ///< per rank; 0: the rank's share of the node's cores
    std::int64_t ram = 0;                ///< MB per rank that predict and planning may use; 0: 80 % of the free share
    std::uint64_t seed = 0;
    std::string deterministic = "run";   ///< run: equal bits for equal rank and thread counts
    std::string device = "auto";         ///< auto, cpu, cuda, ref
    std::string progress = "auto";       ///< auto, bar, line, none
    double collective_timeout = 1800;    ///< seconds
    double max_time = 0;                 ///< seconds; 0: no limit
    std::string log_level = "info";      ///< debug, info, warning
    std::string log_format = "text";     ///< text, json
};

struct Config {
    std::int64_t format = 1;
    Grid grid;
    std::vector<Modality> modalities;    ///< [[modality]]
    Label label;
    std::vector<Class> classes;          ///< [[class]]
    Split split;
    Sampler sampler;
    Augment augment;
    Model model;
    Loss loss;
    Optim optim;
    Train train;
    Import import_rules;
    Eval eval;
    Checkpoint checkpoint;
    Predict predict;
    Data data;
    Runtime runtime;
    std::string folder;                  ///< absolute folder of the first config file; empty without one
};

}  // namespace terrane::config

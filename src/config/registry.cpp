#include "config/registry.hpp"

#include "config/registry_builder.hpp"

namespace terrane::config {

namespace {

using builder::TableOf;
template <typename S>
constexpr auto by_name = TableOf<S>::Entries::by_name;
template <typename S>
constexpr auto by_index = TableOf<S>::Entries::by_index;

TableOf<Grid> grid() {
    TableOf<Grid> table("grid", "The common grid that every modality of a scene is aligned to.");
    table.option("reference", &Grid::reference,
                 "modality (or \"label\") whose raster gives CRS, resolution and extent; empty: the first, "
                 "unless crs is given");
    table.option("crs", &Grid::crs,
                 "coordinate reference system, anything GDAL understands (\"EPSG:25832\")");
    table.option("resolution", &Grid::resolution, "ground sampling distance; 0: the reference's")
        .unit("CRS units")
        .at_least(0);
    table.option("extent", &Grid::extent, "[west, south, east, north]; empty: the reference's")
        .unit("CRS units");
    table.option("tile", &Grid::tile, "edge of a stored tile").unit("pixels").at_least(16).at_most(8192);
    table
        .option("stride", &Grid::stride,
                "distance of training tiles' origins; 0: the tile edge, so that tiles don't overlap")
        .unit("pixels")
        .at_least(0)
        .at_most(8192);
    table.option("min_valid", &Grid::min_valid, "tiles with a smaller labelled fraction are not stored")
        .at_least(0)
        .at_most(1);
    return table;
}

TableOf<Modality> modality() {
    TableOf<Modality> table("modality", "One sensor product: rasters that share bands and meaning.");
    table.option("name", &Modality::name, "short unique name").required();
    table.option("files", &Modality::files, "rasters; paths or globs, relative to the config file").path();
    table.option(
        "scene", &Modality::scene,
        "regular expression on the file name whose first group is the scene id; empty: the file stem");
    table.option("bands", &Modality::bands, "bands to use, counted from 1; empty: all")
        .at_least(1)
        .at_most(65535);
    table.option("resampling", &Modality::resampling, "how it is brought onto the grid")
        .one_of({"nearest", "bilinear", "cubic", "average"});
    table
        .option("scale", &Modality::scale,
                "its pixel is this many grid pixels wide (kept at its own resolution)")
        .unit("grid pixels")
        .at_least(1)
        .at_most(64);
    table.option("nodata", &Modality::nodata, "overrides the raster's own nodata value");
    table.option("nodata_also", &Modality::nodata_also, "further values to be masked");
    table.option("crs", &Modality::crs, "overrides a missing or wrong CRS");
    table.option("norm", &Modality::norm, "standard: mean and deviation of the training tiles; minmax; none")
        .one_of({"standard", "minmax", "none"});
    table.option("multiply", &Modality::multiply, "value * multiply + add, before normalisation");
    table.option("add", &Modality::add, "value * multiply + add, before normalisation");
    table.option("clip_low", &Modality::clip_low,
                 "smaller values are raised to this, after multiply and add");
    table.option("clip_high", &Modality::clip_high,
                 "larger values are lowered to this, after multiply and add");
    table.option("fill", &Modality::fill,
                 "value that the network sees where the modality is nodata, after multiply, add and relative "
                 "(no lidar return over water: intensity 0, height 0); not set: the training mean");
    table.option(
        "relative", &Modality::relative,
        "subtract each tile's 2nd percentile: heights above the local low instead of above sea level");
    return table;
}

TableOf<Label> label() {
    TableOf<Label> table("label", "Where the truth is and how it is coded.");
    table.option("files", &Label::files, "label rasters; paths or globs, relative to the config file").path();
    table.option(
        "scene", &Label::scene,
        "regular expression on the file name whose first group is the scene id; empty: the file stem");
    table
        .option("encoding", &Label::encoding,
                "index: one band of class values; palette: RGB by [[class]].color")
        .one_of({"index", "palette"});
    table.option("ignore", &Label::ignore, "raster values that are neither learned nor scored");
    table.option("undefined", &Label::undefined, "what a value or colour of no class means")
        .one_of({"error", "ignore"});
    table.option("remap", &Label::remap, "raster value = class id, applied before anything else: {6 = 5}");
    table.option("crs", &Label::crs, "overrides a missing or wrong CRS");
    return table;
}

TableOf<Class> label_class() {
    TableOf<Class> table("class", "One class; its place in the list is its index in the network's output.");
    table.option("id", &Class::id, "value in label rasters and in predicted maps")
        .at_least(0)
        .at_most(254)
        .required();
    table.option("name", &Class::name, "unique name, used in tables and as GDAL category").required();
    table.option("color", &Class::color, "[red, green, blue]").at_least(0).at_most(255);
    table.option("weight", &Class::weight, "weight in the loss; 0: by loss.class_weights").at_least(0);
    return table;
}

TableOf<SplitRegion> split_region() {
    TableOf<SplitRegion> table("region",
                               "For split.method = \"regions\": a rectangle and the split it belongs to.");
    table.option("split", &SplitRegion::split, "the split").one_of({"train", "val", "test"}).required();
    table.option("bounds", &SplitRegion::bounds, "[west, south, east, north]")
        .unit("CRS units")
        .length(4)
        .required();
    return table;
}

TableOf<Split> split() {
    TableOf<Split> table("split",
                         "How tiles are divided into train, val and test. Splits never overlap in space.");
    table
        .option("method", &Split::method,
                "blocks of tiles, whole files, polygons of a vector file, or rectangles")
        .one_of({"blocks", "files", "polygons", "regions"});
    table.option("block", &Split::block, "blocks: edge of a block").unit("tiles").at_least(1).at_most(4096);
    table.option("buffer", &Split::buffer, "width kept free between splits").unit("CRS units").at_least(0);
    table.option("fractions", &Split::fractions, "blocks: shares of train, val and test")
        .at_least(0)
        .at_most(1);
    table.option("files", &Split::files, "files: regular expression on the scene id = split")
        .one_of({"train", "val", "test"});
    table.option("polygons", &Split::polygons, "polygons: vector file with a text field \"split\"").path();
    table.list(&Split::regions, split_region(), by_index<Split>);
    return table;
}

TableOf<Sampler> sampler() {
    TableOf<Sampler> table("sampler", "Which training tiles an epoch consists of.");
    table
        .option("balance", &Sampler::balance,
                "0: every tile once; 1: tiles drawn so that all classes are seen evenly")
        .at_least(0)
        .at_most(1);
    table.option("tiles_per_epoch", &Sampler::tiles_per_epoch, "0: the number of training tiles")
        .unit("tiles")
        .at_least(0);
    return table;
}

TableOf<Augment> augment() {
    TableOf<Augment> table("augment", "Random changes of training samples.");
    table.option("flips", &Augment::flips, "the eight symmetries of the square");
    table.option("rotation", &Augment::rotation, "further rotation, uniform in +- this")
        .unit("degrees")
        .at_least(0)
        .at_most(180);
    table.option("zoom", &Augment::zoom, "[low, high] of the uniform scale factor").at_least(0.1).at_most(10);
    table.option("brightness", &Augment::brightness, "shift of a modality, uniform in +- this")
        .unit("standard deviations")
        .at_least(0)
        .at_most(10);
    table.option("contrast", &Augment::contrast, "gain of a modality, uniform in 1 +- this")
        .at_least(0)
        .below(1);
    table.option("noise", &Augment::noise, "Gaussian noise")
        .unit("standard deviations")
        .at_least(0)
        .at_most(10);
    table.option("crop", &Augment::crop, "edge of the training crop; 0: the stored tile")
        .unit("pixels")
        .at_least(0)
        .at_most(8192);
    table.option("photometric", &Augment::photometric,
                 "modalities of brightness, contrast and noise; empty: all");
    return table;
}

TableOf<Pyramid> pyramid() {
    TableOf<Pyramid> table("pyramid", "pspnet and deeplabv3.");
    table
        .option("stem", &Pyramid::stem,
                "the encoder's first layers: deep (three 3x3 convolutions, ResNet V1c) or single (one 7x7)")
        .one_of({"deep", "single"});
    table
        .option("channels", &Pyramid::channels,
                "width of the head; 0: a quarter of the encoder's deepest map")
        .at_least(0)
        .at_most(4096);
    table.option("bins", &Pyramid::bins, "pspnet: cells per side of the pooled grids")
        .at_least(1)
        .at_most(64);
    table.option("rates", &Pyramid::rates, "deeplabv3: dilations beside the 1x1 branch")
        .at_least(1)
        .at_most(128);
    table
        .option("auxiliary_weight", &Pyramid::auxiliary_weight,
                "loss weight of the head on the encoder's third stage, in training only; 0: none")
        .at_least(0);
    table.option("align_corners", &Pyramid::align_corners,
                 "how maps are resized; true suits crops of a multiple of 8 plus one pixel");
    return table;
}

TableOf<Diffusion> diffusion() {
    TableOf<Diffusion> table("diffusion", "pkdiff.");
    table.option("width", &Diffusion::width, "channels of the first level; 32 is the published network")
        .at_least(8)
        .at_most(256);
    table.option("heads", &Diffusion::heads, "heads of attention, 32 channels each").at_least(1).at_most(32);
    table
        .option(
            "cadef", &Diffusion::cadef,
            "attention guided by the height: self (published), dual (keys and values from an encoder of the "
            "height), off")
        .one_of({"self", "dual", "off"});
    table.option("height", &Diffusion::height,
                 "modality whose first band is the height; without it there is no CADEF");
    table.option("gate", &Diffusion::gate, "slopes that open CADEF's gate: falling (published) or all")
        .one_of({"falling", "all"});
    table.option("border", &Diffusion::border, "heights beyond a patch: zero (published) or replicate")
        .one_of({"zero", "replicate"});
    table.option("preset", &Diffusion::preset, "published (25 timesteps) or fast (4)")
        .one_of({"published", "fast"});
    table.option("timesteps", &Diffusion::timesteps, "passes over all scales; 0: the preset's")
        .at_least(0)
        .at_most(1000);
    table.option("scales", &Diffusion::scales, "resolutions per timestep, each half the next")
        .at_least(1)
        .at_most(6);
    table.option("max_patch", &Diffusion::max_patch, "largest map that the network sees; larger ones are cut")
        .unit("pixels")
        .at_least(8)
        .at_most(4096);
    table
        .option("state", &Diffusion::state,
                "what evaluation goes on with: simplex (as training) or raw (published)")
        .one_of({"simplex", "raw"});
    table.option("state_softmax", &Diffusion::state_softmax,
                 "pass the state through a softmax before the noise, as published");
    table.option("update", &Diffusion::update, "next state: replace (published), ema or gated")
        .one_of({"replace", "ema", "gated"});
    table
        .option("patch_reduce", &Diffusion::patch_reduce,
                "gradients of a scale's patches: mean or sum (published)")
        .one_of({"mean", "sum"});
    table
        .option("void_pixels", &Diffusion::void_pixels,
                "pixels without a class: mask, or zero (published) for a target of zeros")
        .one_of({"mask", "zero"});
    table
        .option("least_sum", &Diffusion::least_sum,
                "lower bound of the divisor in the projection onto class shares; published: 0")
        .at_least(0)
        .at_most(1);
    table.option("pk_weight", &Diffusion::pk_weight, "weight of the projection-kernel loss; 0: without")
        .at_least(0);
    table.option("pk_bandwidth", &Diffusion::pk_bandwidth, "bandwidth of its kernel").at_least(1e-3);
    table.option("pk_samples", &Diffusion::pk_samples, "pixels drawn per pass").at_least(2).at_most(65536);
    table.option("pk_measure", &Diffusion::pk_measure, "directions of the projections: gauss or sphere")
        .one_of({"gauss", "sphere"});
    table
        .option("pk_scope", &Diffusion::pk_scope,
                "pixels compared: of each rank (published) or of all ranks together, global")
        .one_of({"rank", "global"});
    table
        .option("pk_targets", &Diffusion::pk_targets,
                "targets compared with: atoms (all, exact) or sampled (published)")
        .one_of({"atoms", "sampled"});
    table.option("pk_estimator", &Diffusion::pk_estimator, "unbiased (published) or biased")
        .one_of({"unbiased", "biased"});
    table.option("ensemble", &Diffusion::ensemble, "runs whose results are averaged, when predicting")
        .at_least(1)
        .at_most(64);
    return table;
}

TableOf<VisionTransformer> vit() {
    TableOf<VisionTransformer> table("vit", "The vision transformer of setr_light and setr_mla.");
    table
        .option("image", &VisionTransformer::image,
                "edge of the images that the positional embedding is for; 0: the training crop")
        .unit("pixels")
        .at_least(0)
        .at_most(8192);
    table.option("patch", &VisionTransformer::patch, "edge of a patch, a power of two")
        .unit("pixels")
        .at_least(2)
        .at_most(128);
    table.option("depth", &VisionTransformer::depth, "blocks").at_least(1).at_most(64);
    table.option("width", &VisionTransformer::width, "channels of a token").at_least(8).at_most(4096);
    table.option("heads", &VisionTransformer::heads, "attention heads; they divide the width")
        .at_least(1)
        .at_most(64);
    table
        .option("mlp_ratio", &VisionTransformer::mlp_ratio,
                "channels inside a block's perceptron per channel of a token")
        .above(0)
        .at_most(16);
    table
        .option("epsilon", &VisionTransformer::epsilon,
                "of the layer norms: 1e-6 in timm's, MAE's and most other weights")
        .above(0)
        .at_most(1);
    table
        .option("dropout", &VisionTransformer::dropout,
                "on attention, its projection and the perceptron; -1: 0.1 for setr_light, 0 for setr_mla")
        .at_least(-1)
        .below(1);
    table
        .option("taps", &VisionTransformer::taps,
                "blocks whose outputs the decoder reads, from 0; empty: 0, depth / 2 and depth - 1 for "
                "setr_light, "
                "the last of each quarter for setr_mla")
        .at_least(0)
        .at_most(63);
    table.option("head", &VisionTransformer::head, "setr_mla: the authors' head or MMSegmentation's")
        .one_of({"fudan", "mmseg"});
    table
        .option("auxiliary_weight", &VisionTransformer::auxiliary_weight,
                "setr_mla: loss weight of each level's classifier, in training only; 0: none")
        .at_least(0);
    return table;
}

TableOf<Model> model() {
    TableOf<Model> table("model", "The network.");
    table.option("name", &Model::name, "architecture")
        .one_of({"duet", "pspnet", "deeplabv3", "setr_light", "setr_mla", "pkdiff"});
    table
        .option("encoder", &Model::encoder,
                "the encoder; auto: resnet18 for duet, resnet50 for pspnet and deeplabv3")
        .one_of({"auto", "resnet18", "resnet34", "resnet50", "resnet101"});
    table
        .option("encoder_width", &Model::encoder_width,
                "channels of the encoder's first stage; 64 is the published network")
        .at_least(8)
        .at_most(256);
    table
        .option(
            "output_stride", &Model::output_stride,
            "8 or 16: grid pixels per pixel of the deepest map; 0: 16 for duet, 8 for pspnet and deeplabv3")
        .unit("pixels")
        .at_least(0)
        .at_most(16);
    table
        .option("norm", &Model::norm,
                "normalisation layers: per rank, over all ranks, or over channel groups; auto: batch for "
                "duet and "
                "setr_light, sync_batch for the others")
        .one_of({"auto", "batch", "sync_batch", "group"});
    table
        .option("modality_dropout", &Model::modality_dropout,
                "probability that a modality of a training sample is withheld")
        .at_least(0)
        .below(1);
    table.option("decoder_channels", &Model::decoder_channels, "width of the decoder")
        .at_least(8)
        .at_most(2048);
    table.option("decoder_stride", &Model::decoder_stride, "2 or 4: grid pixels per pixel of the logits")
        .unit("pixels")
        .at_least(2)
        .at_most(4);
    table.option("aspp_channels", &Model::aspp_channels, "width of the atrous pyramid")
        .at_least(8)
        .at_most(2048);
    table.option("aspp_rates", &Model::aspp_rates, "dilations at output stride 16; doubled at 8")
        .at_least(1)
        .at_most(128);
    table.option("dropout", &Model::dropout, "dropout before the classifier").at_least(0).below(1);
    table.table(&Model::pyramid, pyramid());
    table.table(&Model::diffusion, diffusion());
    table
        .option("frozen", &Model::frozen,
                "encoder: its parameters are not trained, provided train.init_weights holds them")
        .one_of({"none", "encoder"});
    table.option("frozen_dropout", &Model::frozen_dropout, "whether frozen parts still drop out in training");
    table.table(&Model::vit, vit());
    return table;
}

TableOf<LossTerm> loss_term() {
    TableOf<LossTerm> table("terms", "A summand of the loss.");
    table.option("name", &LossTerm::name, "the term")
        .one_of({"cross_entropy", "focal", "dice", "tversky", "lovasz", "boundary"})
        .required();
    table.option("weight", &LossTerm::weight, "its factor").above(0);
    table.option("gamma", &LossTerm::gamma, "focal: how much easy pixels lose weight").at_least(0);
    table.option("alpha", &LossTerm::alpha, "tversky: price of a false positive").at_least(0);
    table.option("beta", &LossTerm::beta, "tversky: price of a false negative").at_least(0);
    table.option("exponent", &LossTerm::exponent, "tversky: power of each class's loss (focal Tversky)")
        .at_least(1);
    table.option("smooth", &LossTerm::smooth, "dice, tversky: added to both sides of the fraction")
        .at_least(0);
    table
        .option("over", &LossTerm::over,
                "dice, tversky, lovasz: what one score is taken over; auto: batch, for lovasz image")
        .one_of({"auto", "batch", "image"});
    return table;
}

TableOf<Loss> loss() {
    TableOf<Loss> table("loss", "What training minimises.");
    table.option("label_smoothing", &Loss::label_smoothing, "probability spread over the other classes")
        .at_least(0)
        .below(1);
    table
        .option("normalise", &Loss::normalise,
                "what the sum over pixels is divided by: the weights of the valid pixels, or the number of all, "
                "ignored ones included (as MMSegmentation does)")
        .one_of({"valid", "all"});
    table
        .option("class_weights", &Loss::class_weights,
                "from training-tile frequencies; [[class]].weight wins")
        .one_of({"none", "sqrt_inverse", "inverse", "median"});
    table.list(&Loss::terms, loss_term(), by_name<Loss>);
    return table;
}

TableOf<ParameterGroup> parameter_group() {
    TableOf<ParameterGroup> table("groups",
                                  "A rule for parameters whose name matches; the first that matches wins, "
                                  "one that matches none is an error.");
    table.option("match", &ParameterGroup::match, "regular expression on the parameter's name").required();
    table.option("lr_mult", &ParameterGroup::lr_mult, "factor of the learning rate").at_least(0);
    table.option("decay_mult", &ParameterGroup::decay_mult, "factor of the weight decay").at_least(0);
    table.option("freeze_until", &ParameterGroup::freeze_until, "no update before this step")
        .unit("steps")
        .at_least(0);
    return table;
}

TableOf<Optim> optim() {
    TableOf<Optim> table("optim", "The optimizer and its learning-rate schedule.");
    table.option("name", &Optim::name, "the optimizer; adam couples weight decay, adamw does not")
        .one_of({"sgd", "adam", "adamw"});
    table.option("lr", &Optim::lr, "peak learning rate").above(0);
    table
        .option(
            "lr_scale", &Optim::lr_scale,
            "what lr is multiplied by: linear_world: the ranks; linear_batch: global_batch / lr_scale_batch")
        .one_of({"none", "linear_world", "linear_batch"});
    table.option("lr_scale_batch", &Optim::lr_scale_batch, "linear_batch: the batch that lr was tuned with")
        .unit("samples")
        .at_least(1);
    table.option("momentum", &Optim::momentum, "sgd").at_least(0).below(1);
    table.option("beta1", &Optim::beta1, "adam, adamw").at_least(0).below(1);
    table.option("beta2", &Optim::beta2, "adam, adamw").at_least(0).below(1);
    table.option("epsilon", &Optim::epsilon, "adam, adamw").above(0);
    table.option("weight_decay", &Optim::weight_decay, "decoupled in adamw, L2 in sgd and adam").at_least(0);
    table
        .option("decay", &Optim::decay,
                "what weight_decay pulls at: weights spares biases and norms' scales and shifts")
        .one_of({"weights", "all"});
    table.option("clip_norm", &Optim::clip_norm, "largest norm of the whole gradient; 0: no clipping")
        .at_least(0);
    table.option("schedule", &Optim::schedule, "course of the rate after warm-up")
        .one_of({"constant", "cosine", "poly", "step", "plateau"});
    table
        .option("schedule_unit", &Optim::schedule_unit,
                "epoch: the rate stays during an epoch, and milestones count epochs")
        .one_of({"step", "epoch"});
    table.option("warmup_steps", &Optim::warmup_steps, "the rate rises to lr during these")
        .unit("steps")
        .at_least(0);
    table.option("warmup", &Optim::warmup, "how it rises; constant: not until the end")
        .one_of({"linear", "exponential", "constant"});
    table
        .option("warmup_start", &Optim::warmup_start,
                "factor of lr at the first step; absent: 1 / (warmup_steps + 1)")
        .at_least(0)
        .at_most(1);
    table.option("min_lr", &Optim::min_lr, "cosine, poly: the rate at the end; plateau: the lowest")
        .at_least(0);
    table.option("power", &Optim::power, "poly: the exponent").above(0);
    table.option("milestones", &Optim::milestones, "step: after these the rate is multiplied by gamma")
        .unit("steps")
        .at_least(1);
    table.option("gamma", &Optim::gamma, "step: the factor").above(0).at_most(1);
    table.option("plateau_monitor", &Optim::plateau_monitor, "plateau: eval.best on val, or the loss on val")
        .one_of({"score", "loss"});
    table.option("plateau_patience", &Optim::plateau_patience, "plateau: evaluations without gain endured")
        .unit("evaluations")
        .at_least(0);
    table.option("plateau_factor", &Optim::plateau_factor, "plateau: factor of the rate").above(0).below(1);
    table.option("plateau_threshold", &Optim::plateau_threshold, "plateau: smallest gain that counts")
        .at_least(0);
    table
        .option("ema_decay", &Optim::ema_decay,
                "moving average of the weights, which is what is evaluated and saved as the model; 0: none")
        .at_least(0)
        .below(1);
    table.list(&Optim::groups, parameter_group(), by_index<Optim>);
    table.option(
        "freeze", &Optim::freeze,
        "regular expressions: parameters that are not trained, provided train.init_weights holds them");
    return table;
}

TableOf<Train> train() {
    TableOf<Train> table("train", "Length and batches of the training.");
    table.option("epochs", &Train::epochs, "passes over the sampler's tiles").at_least(1);
    table.option("steps", &Train::steps, "above 0: this many optimizer steps instead of epochs").at_least(0);
    table
        .option("global_batch", &Train::global_batch,
                "samples of an optimizer step, over all ranks and micro-steps")
        .unit("samples")
        .at_least(1)
        .at_most(1 << 20);
    table.option("batch", &Train::batch, "samples of one rank's micro-step; 0: global_batch / ranks")
        .unit("samples")
        .at_least(0)
        .at_most(1 << 16);
    table.option("precision", &Train::precision, "arithmetic of the network; master weights stay fp32")
        .one_of({"fp32", "bf16"});
    table.option("init_weights", &Train::init_weights, "what to start from: a checkpoint, or a .safetensors or .pth file (see [import])");
    table.option("resume", &Train::resume,
                 "auto: the run folder's last checkpoint; never; or a checkpoint folder");
    table.option("prefetch", &Train::prefetch, "batches that are read ahead")
        .unit("batches")
        .at_least(1)
        .at_most(64);
    table
        .option("recompute", &Train::recompute,
                "blocks: activations inside a block are computed again for backward: less memory, more time")
        .one_of({"none", "blocks"});
    return table;
}

TableOf<Eval> eval() {
    TableOf<Eval> table("eval", "Evaluation on the val split during training.");
    table.option("every", &Eval::every, "0: only at the end").unit("epochs").at_least(0);
    table.option("every_steps", &Eval::every_steps, "above 0: this many steps between evaluations instead")
        .unit("steps")
        .at_least(0);
    table.option("batch", &Eval::batch, "0: the training batch of a rank")
        .unit("samples")
        .at_least(0)
        .at_most(1 << 16);
    table.option("best", &Eval::best, "score that chooses the best checkpoint")
        .one_of({"miou", "mf1", "oa", "kappa"});
    return table;
}

TableOf<Import> import_rules() {
    TableOf<Import> table("import", "How train.init_weights from elsewhere are fitted to the network.");
    table
        .option("match", &Import::match,
                "auto: terrane's checkpoints as strict, other files as loose; strict: every tensor must be there; "
                "loose: what fits by name and shape")
        .one_of({"auto", "strict", "loose"});
    table.option("part", &Import::part,
                 "key of a .pth file under which the weights lie (\"teacher\"); empty: found by itself");
    table.option("positions", &Import::positions, "how positional embeddings are resized")
        .one_of({"bilinear", "bicubic"});
    table
        .option("bands", &Import::bands,
                "first convolution for other bands: filters repeated and scaled, or zero for further bands")
        .one_of({"repeat", "zero"});
    return table;
}

TableOf<Checkpoint> checkpoint() {
    TableOf<Checkpoint> table("checkpoint", "When checkpoints are written and how many stay.");
    table.option("every", &Checkpoint::every, "0: with every evaluation").unit("steps").at_least(0);
    table.option("keep", &Checkpoint::keep, "kept beside the last and the best")
        .unit("checkpoints")
        .at_least(0)
        .at_most(1000000);
    return table;
}

TableOf<Predict> predict() {
    TableOf<Predict> table("predict", "Sliding-window inference over whole scenes.");
    table.option("window", &Predict::window, "edge of a window; 0: the training crop")
        .unit("pixels")
        .at_least(0)
        .at_most(8192);
    table.option("overlap", &Predict::overlap, "fraction of a window shared with its neighbour")
        .at_least(0)
        .at_most(0.9);
    table.option("batch", &Predict::batch, "windows computed at once")
        .unit("windows")
        .at_least(1)
        .at_most(1 << 16);
    table.option("blend", &Predict::blend, "weights of overlapping windows").one_of({"hann", "mean"});
    table.option("confidence", &Predict::confidence, "also write the largest probability");
    table.option("scores", &Predict::scores, "also write every class's probability");
    table.option("quicklook", &Predict::quicklook, "longer edge of the PNG beside the map; 0: none")
        .unit("pixels")
        .at_least(0)
        .at_most(16384);
    return table;
}

TableOf<Data> data() {
    TableOf<Data> table("data", "The tile store.");
    table.option("tiles", &Data::tiles, "its folder, relative to the working folder");
    return table;
}

TableOf<Runtime> runtime() {
    TableOf<Runtime> table("runtime",
                           "What the global options set; each has a named option of the command line.");
    table.option("out", &Runtime::out, "output file or folder").command_line_only();
    table.option("overwrite", &Runtime::overwrite, "replace existing output").command_line_only();
    table.option("dry_run", &Runtime::dry_run, "resolve, open the data, plan the memory, estimate, exit")
        .command_line_only();
    table.option("threads", &Runtime::threads, "threads of a rank; 0: its share of the node's cores")
        .at_least(0)
        .at_most(4096);
    table.option("ram", &Runtime::ram, "memory a rank may use; 0: 80 % of its share of the free memory")
        .unit("MB")
        .at_least(0);
    table.option("seed", &Runtime::seed, "of every random number").at_least(0);
    table.option("deterministic", &Runtime::deterministic, "run: equal bits for equal rank and thread counts")
        .one_of({"run"});
    table.option("device", &Runtime::device, "auto: the best there is")
        .one_of({"auto", "cpu", "cuda", "ref"});
    table.option("progress", &Runtime::progress, "auto: a bar on a terminal, else a line every few seconds")
        .one_of({"auto", "bar", "line", "none"});
    table
        .option("collective_timeout", &Runtime::collective_timeout,
                "a collective that takes longer ends the job")
        .unit("seconds")
        .above(0);
    table.option("max_time", &Runtime::max_time, "stop with a checkpoint after this long; 0: no limit")
        .unit("seconds")
        .at_least(0);
    table.option("log_level", &Runtime::log_level, "least important message shown")
        .one_of({"debug", "info", "warning"});
    table.option("log_format", &Runtime::log_format, "of messages").one_of({"text", "json"});
    return table;
}

Table root() {
    TableOf<Config> table("", "");
    table.option("format", &Config::format, "version of this file format").at_least(1).at_most(1);
    table.table(&Config::grid, grid());
    table.list(&Config::modalities, modality(), by_name<Config>);
    table.table(&Config::label, label());
    table.list(&Config::classes, label_class(), by_name<Config>);
    table.table(&Config::split, split());
    table.table(&Config::sampler, sampler());
    table.table(&Config::augment, augment());
    table.table(&Config::model, model());
    table.table(&Config::loss, loss());
    table.table(&Config::optim, optim());
    table.table(&Config::train, train());
    table.table(&Config::eval, eval());
    table.table(&Config::import_rules, import_rules());
    table.table(&Config::checkpoint, checkpoint());
    table.table(&Config::predict, predict());
    table.table(&Config::data, data());
    table.table(&Config::runtime, runtime());
    return std::move(table).take();
}

void collect_keys(const Table& table, const std::string& prefix, std::vector<std::string>& keys) {
    for (const Option& option : table.options) keys.push_back(prefix + option.key);
    for (const Table& child : table.tables) collect_keys(child, prefix + child.key + ".", keys);
}

}  // namespace

const Table& registry() {
    static const Table instance = root();
    return instance;
}

const Option* find_option(const std::string& key) {
    const Table* table = &registry();
    std::size_t start = 0;
    for (;;) {
        const std::size_t dot = key.find('.', start);
        const std::string part = key.substr(start, dot == std::string::npos ? dot : dot - start);
        if (dot == std::string::npos) {
            for (const Option& option : table->options) {
                if (option.key == part) return &option;
            }
            return nullptr;
        }
        const Table* next = nullptr;
        for (const Table& child : table->tables) {
            if (child.key == part) next = &child;
        }
        if (next == nullptr) return nullptr;
        table = next;
        start = dot + 1;
    }
}

std::vector<std::string> all_keys() {
    std::vector<std::string> keys;
    collect_keys(registry(), "", keys);
    return keys;
}

}  // namespace terrane::config

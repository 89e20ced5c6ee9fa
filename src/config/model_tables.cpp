#include "config/tables.hpp"

namespace terrane::config::tables {

namespace {

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

TableOf<Atrous> atrous() {
    TableOf<Atrous> table("atrous", "res50_aspp_lorm.");
    table.option("rates", &Atrous::rates, "dilations of the 3x3 classifiers beside the 1x1 one")
        .at_least(1)
        .at_most(128);
    table.option("grid", &Atrous::grid, "dilations of the blocks of the encoder's last stage")
        .at_least(1)
        .at_most(128);
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
                 "modality whose first band is the height; the names height, dsm and ndsm mean the same");
    table.option("gate", &Diffusion::gate, "slopes that open CADEF's gate: falling (published) or all")
        .one_of({"falling", "all"});
    table.option("border", &Diffusion::border, "heights beyond a patch: zero (published) or replicate")
        .one_of({"zero", "replicate"});
    table
        .option("dsm_norm", &Diffusion::dsm_norm,
                "range that the guiding height is scaled by: of each patch (published), or of the whole tile "
                "or window that patches are cut from")
        .one_of({"patch", "tile"});
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
                "pixels compared: of each rank (published), of all ranks together (global), or of each image "
                "by itself (image)")
        .one_of({"rank", "global", "image"});
    table
        .option("pk_targets", &Diffusion::pk_targets,
                "targets compared with: atoms (all, exact) or sampled (published)")
        .one_of({"atoms", "sampled"});
    table.option("pk_estimator", &Diffusion::pk_estimator, "unbiased (published) or biased")
        .one_of({"unbiased", "biased"});
    table
        .option("ce_weight", &Diffusion::ce_weight,
                "weight of the class shares' cross-entropy against the most frequent class; published: 0")
        .at_least(0);
    table
        .option("dice_weight", &Diffusion::dice_weight,
                "weight of the class shares' soft Dice loss per image; published: 0")
        .at_least(0);
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

TableOf<LossTerm> loss_term() {
    TableOf<LossTerm> table("terms", "A summand of the loss.");
    table.option("name", &LossTerm::name, "the term")
        .one_of({"cross_entropy", "focal", "dice", "tversky", "lovasz", "boundary", "distance_entropy",
                 "rectification"})
        .required();
    table
        .option("target", &LossTerm::target,
                "the map it looks at: label, scribble or pseudo; distance_entropy takes the distance map of "
                "scribble or pseudo, rectification the foreground")
        .one_of({"label", "scribble", "pseudo"});
    table.option("weight", &LossTerm::weight, "its factor").above(0);
    table
        .option("label_smoothing", &LossTerm::label_smoothing,
                "cross_entropy: probability spread over the other classes; -1: loss.label_smoothing")
        .at_least(-1)
        .below(1);
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

}  // namespace

TableOf<Model> model() {
    TableOf<Model> table("model", "The network.");
    table.option("name", &Model::name, "architecture")
        .one_of({"duet", "pspnet", "deeplabv3", "res50_aspp_lorm", "setr_light", "setr_mla", "pkdiff"});
    table
        .option("encoder", &Model::encoder,
                "the encoder; auto: resnet18 for duet, resnet50 for pspnet, deeplabv3 and "
                "res50_aspp_lorm")
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
    table.table(&Model::atrous, atrous());
    table.table(&Model::diffusion, diffusion());
    table
        .option("frozen", &Model::frozen,
                "encoder: its parameters are not trained, provided train.init_weights holds them")
        .one_of({"none", "encoder"});
    table.option("frozen_dropout", &Model::frozen_dropout, "whether frozen parts still drop out in training");
    table.table(&Model::vit, vit());
    return table;
}

TableOf<Loss> loss() {
    TableOf<Loss> table("loss", "What training minimises.");
    table.option("label_smoothing", &Loss::label_smoothing, "probability spread over the other classes")
        .at_least(0)
        .below(1);
    table
        .option(
            "normalise", &Loss::normalise,
            "what the sum over pixels is divided by: the weights of the valid pixels, or the number of all, "
            "ignored ones included (as MMSegmentation does)")
        .one_of({"valid", "all"});
    table
        .option("class_weights", &Loss::class_weights,
                "from training-tile frequencies; [[class]].weight wins")
        .one_of({"none", "sqrt_inverse", "inverse", "median"});
    table.list(&Loss::terms, loss_term(), TableOf<Loss>::Entries::by_name);
    return table;
}

}  // namespace terrane::config::tables

#include "config/tables.hpp"

namespace terrane::config::tables {

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
    table
        .option("precision", &Train::precision,
                "arithmetic of the network; master weights stay fp32. tf32: fp32 whose products tensor cores round to "
                "TF32; fp16 on GPUs only")
        .one_of({"fp32", "tf32", "bf16", "fp16"});
    table.option("init_weights", &Train::init_weights,
                 "what to start from: a checkpoint, or a .safetensors or .pth file (see [import])");
    table.option("resume", &Train::resume,
                 "auto: the run folder's last checkpoint; never; or a checkpoint folder");
    table.option("prefetch", &Train::prefetch, "batches that are read ahead")
        .unit("batches")
        .at_least(1)
        .at_most(64);
    table
        .option("max_bad_steps", &Train::max_bad_steps,
                "an update whose loss or gradient is not finite is left out; this many in a row end the run")
        .unit("updates")
        .at_least(1)
        .at_most(1000000);
    table
        .option(
            "virtual_shards", &Train::virtual_shards,
            "with --deterministic=ranks: parts of the global batch that are computed apart; a power of two")
        .at_least(1)
        .at_most(4096);
    table
        .option("gradient_sums", &Train::gradient_sums,
                "type in which GPUs sum gradients over ranks; bf16 halves what travels and rounds to 8 bits")
        .one_of({"fp32", "bf16"});
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
                "auto: terrane's checkpoints as strict, other files as loose; strict: every tensor must be "
                "there; "
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
    table
        .option("missing", &Import::missing,
                "train.init_weights that don't exist: error, or warn and start from random numbers, nothing "
                "frozen")
        .one_of({"error", "warn"});
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

TableOf<Report> report() {
    TableOf<Report> table("report", "What is recorded of a run beside its scores; see docs/observing.md.");
    table.option("every", &Report::every, "steps whose means make a row of steps.csv and a point of a curve")
        .unit("steps")
        .at_least(1)
        .at_most(1000000);
    table.option("tensorboard", &Report::tensorboard, "write event files of TensorBoard into tb/");
    table
        .option("images", &Report::images,
                "val tiles shown with every evaluation, in preview/ and for TensorBoard")
        .unit("tiles")
        .at_least(0)
        .at_most(64);
    return table;
}

}  // namespace terrane::config::tables

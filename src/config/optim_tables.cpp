#include "config/tables.hpp"

namespace terrane::config::tables {

namespace {

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

}  // namespace

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
    table.list(&Optim::groups, parameter_group(), TableOf<Optim>::Entries::by_index);
    table.option(
        "freeze", &Optim::freeze,
        "regular expressions: parameters that are not trained, provided train.init_weights holds them");
    return table;
}

}  // namespace terrane::config::tables

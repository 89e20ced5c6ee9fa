#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// The tables about the updates of the weights. One struct per TOML table, defaults included; see
/// config/config.hpp.
namespace terrane::config {

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

}  // namespace terrane::config

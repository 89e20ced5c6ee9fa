#pragma once

#include <cstdint>
#include <vector>

#include "config/optim.hpp"

namespace terrane::optim {

/// optim.lr after optim.lr_scale: unchanged; times the number of ranks (Goyal et al. 2017); or times
/// global_batch / optim.lr_scale_batch, for a rate that was tuned with that reference batch. optim.min_lr is
/// never scaled. Throws Error E0511 (78) for an unknown rule.
double effective_rate(const config::Optim& settings, std::int64_t ranks, std::int64_t global_batch);

/// How long a run is, for its schedule.
struct RunLength {
    std::int64_t steps = 1;
    std::int64_t steps_per_epoch = 1;
};

/// The learning rate as a closed form of the step, so that a resumed run needs no schedule state (but for
/// plateau, see optim/plateau.hpp). With s the number of updates already made (0 for the first), w the
/// warm-up steps, n the total, L the steps of an epoch, and p = (s - w) / (n - w) clamped to [0, 1]:
///   constant: rate = lr
///   cosine:   rate = min_lr + (lr - min_lr) * (1 + cos(pi * p)) / 2      (Loshchilov, Hutter 2017)
///   poly:     rate = min_lr + (lr - min_lr) * (1 - p)^power             (DeepLab)
///   step:     rate = lr * gamma^(number of milestones <= s)
///   plateau:  rate = lr lowered as often as the validation score has stalled
/// optim.schedule_unit = "epoch" holds the rate during an epoch: s is replaced by max(w, s - s mod L), and
/// milestones count epochs. Without warm-up, cosine is then PyTorch's CosineAnnealingLR(T_max = epochs), and
/// step its MultiStepLR, both stepped once an epoch.
/// In the warm-up (s < w) the rate is lr times a factor that starts at f = optim.warmup_start:
///   linear:      f + (1 - f) * s / w    (f = 0: PKDiff's and CDSP's lr * s / w and so on)
///   exponential: f^(1 - s / w)
///   constant:    f
/// Without warmup_start, f = 1 / (w + 1): the first update is the first of w + 1 equal stairs.
class Schedule {
  public:
    /// `rate`: the rate that optim.lr became, see effective_rate. Throws Error E0511 (78) for settings that
    /// contradict each other.
    Schedule(const config::Optim& settings, double rate, const RunLength& length);

    /// `reductions`: how often a plateau has been met; counts only for that schedule.
    double rate(std::int64_t step, std::int64_t reductions = 0) const;

  private:
    enum class Kind { constant, cosine, poly, step, plateau };
    enum class Warmup { linear, exponential, constant };

    void check(std::int64_t total_steps) const;
    double warmup_factor(double step) const;

    Kind kind_ = Kind::constant;
    Warmup warmup_kind_ = Warmup::linear;
    double rate_ = 0;
    double lowest_rate_ = 0;
    double power_ = 1;
    double gamma_ = 1;
    double factor_ = 1;
    double warmup_ = 0;
    double warmup_start_ = 0;
    double total_ = 1;
    std::int64_t hold_ = 1;  ///< steps for which the course stays: 1, or those of an epoch
    std::vector<std::int64_t> milestones_;
};

}  // namespace terrane::optim

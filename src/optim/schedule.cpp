#include "optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"

namespace terrane::optim {

Schedule::Schedule(const config::Optim& settings, std::int64_t total_steps)
    : rate_(settings.lr),
      lowest_rate_(settings.min_lr),
      power_(settings.power),
      gamma_(settings.gamma),
      warmup_(settings.warmup_steps),
      total_(static_cast<double>(total_steps)),
      milestones_(settings.milestones) {
    if (settings.schedule == "constant") {
        kind_ = Kind::constant;
    } else if (settings.schedule == "cosine") {
        kind_ = Kind::cosine;
    } else if (settings.schedule == "poly") {
        kind_ = Kind::poly;
    } else if (settings.schedule == "step") {
        kind_ = Kind::step;
    } else {
        throw Error(ExitCode::config_invalid, 511,
                    fmt::format("optim.schedule \"{}\" is unknown.", settings.schedule),
                    "Choose constant, cosine, poly or step.");
    }
    if (!(rate_ > 0) || lowest_rate_ > rate_) {
        throw Error(
            ExitCode::config_invalid, 511,
            fmt::format("optim.lr {} must be positive and not below optim.min_lr {}.", rate_, lowest_rate_));
    }
    if (warmup_ < 0 || warmup_ >= total_) {
        throw Error(
            ExitCode::config_invalid, 511,
            fmt::format("optim.warmup_steps {} leaves nothing of the run's {} steps.", warmup_, total_steps),
            "Shorten the warm-up or lengthen the run.");
    }
    if (kind_ == Kind::step && milestones_.empty()) {
        throw Error(ExitCode::config_invalid, 511, "optim.schedule \"step\" needs optim.milestones.",
                    "Give the steps after which the rate drops, e.g. optim.milestones = [4000, 6000].");
    }
    std::sort(milestones_.begin(), milestones_.end());
}

double Schedule::rate(std::int64_t step) const {
    const auto s = static_cast<double>(step);
    if (s < warmup_) return rate_ * (s + 1) / (warmup_ + 1);
    const double progress = std::clamp((s - warmup_) / (total_ - warmup_), 0.0, 1.0);
    switch (kind_) {
        case Kind::constant:
            return rate_;
        case Kind::cosine:
            return lowest_rate_ + (rate_ - lowest_rate_) * (1 + std::cos(std::numbers::pi * progress)) / 2;
        case Kind::poly:
            return lowest_rate_ + (rate_ - lowest_rate_) * std::pow(1 - progress, power_);
        case Kind::step: {
            const auto passed =
                std::upper_bound(milestones_.begin(), milestones_.end(), step) - milestones_.begin();
            return rate_ * std::pow(gamma_, static_cast<double>(passed));
        }
    }
    return rate_;
}

}  // namespace terrane::optim

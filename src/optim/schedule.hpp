#pragma once

#include <cstdint>
#include <vector>

#include "config/config.hpp"

namespace terrane::optim {

/// The learning rate as a closed form of the step, so that a resumed run needs no schedule state. With s the
/// number of updates already made (0 for the first), w the warm-up steps, n the total, and
/// p = (s - w) / (n - w) clamped to [0, 1]:
///   warm-up (s < w): rate = lr * (s + 1) / (w + 1), linear from 0, the full rate is first reached at s = w
///   constant:        rate = lr
///   cosine:          rate = min_lr + (lr - min_lr) * (1 + cos(pi * p)) / 2      (Loshchilov, Hutter 2017)
///   poly:            rate = min_lr + (lr - min_lr) * (1 - p)^power             (DeepLab)
///   step:            rate = lr * gamma^(number of milestones <= s)
class Schedule {
  public:
    /// Throws Error E0511 (78) for settings that contradict each other.
    Schedule(const config::Optim& settings, std::int64_t total_steps);

    double rate(std::int64_t step) const;

  private:
    enum class Kind { constant, cosine, poly, step };

    Kind kind_ = Kind::constant;
    double rate_ = 0;
    double lowest_rate_ = 0;
    double power_ = 1;
    double gamma_ = 1;
    double warmup_ = 0;
    double total_ = 1;
    std::vector<std::int64_t> milestones_;
};

}  // namespace terrane::optim

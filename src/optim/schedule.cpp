#include "optim/schedule.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string_view>
#include <utility>

#include "base/error.hpp"

namespace terrane::optim {

namespace {

/// The entry called `name` in a table of names; Error E0511 naming `key` and the choices if there is none.
template <typename Kind, std::size_t count>
Kind named(const std::array<std::pair<std::string_view, Kind>, count>& table, std::string_view key,
           const std::string& name) {
    std::string choices;
    for (const auto& [entry, kind] : table) {
        if (entry == name) return kind;
        choices += fmt::format("{}{}", choices.empty() ? "" : ", ", entry);
    }
    throw Error(ExitCode::config_invalid, 511, fmt::format("{} \"{}\" is unknown.", key, name),
                fmt::format("Choose one of {}.", choices));
}

[[noreturn]] void refuse(std::string message, std::string fix = "") {
    throw Error(ExitCode::config_invalid, 511, std::move(message), std::move(fix));
}

}  // namespace

double effective_rate(const config::Optim& settings, std::int64_t ranks, std::int64_t global_batch) {
    enum class Rule { none, linear_world, linear_batch };
    constexpr std::array<std::pair<std::string_view, Rule>, 3> rules{
        {{"none", Rule::none}, {"linear_world", Rule::linear_world}, {"linear_batch", Rule::linear_batch}}};
    switch (named(rules, "optim.lr_scale", settings.lr_scale)) {
        case Rule::none:
            return settings.lr;
        case Rule::linear_world:
            return settings.lr * static_cast<double>(ranks);
        case Rule::linear_batch:
            return settings.lr * static_cast<double>(global_batch) /
                   static_cast<double>(settings.lr_scale_batch);
    }
    return settings.lr;
}

Schedule::Schedule(const config::Optim& settings, double rate, const RunLength& length)
    : rate_(rate),
      lowest_rate_(settings.min_lr),
      power_(settings.power),
      gamma_(settings.gamma),
      factor_(settings.plateau_factor),
      warmup_(settings.warmup_steps),
      warmup_start_(settings.warmup_start.value_or(1 / (settings.warmup_steps + 1))),
      total_(static_cast<double>(length.steps)),
      milestones_(settings.milestones) {
    constexpr std::array<std::pair<std::string_view, Kind>, 5> kinds{{{"constant", Kind::constant},
                                                                      {"cosine", Kind::cosine},
                                                                      {"poly", Kind::poly},
                                                                      {"step", Kind::step},
                                                                      {"plateau", Kind::plateau}}};
    constexpr std::array<std::pair<std::string_view, Warmup>, 3> warmups{
        {{"linear", Warmup::linear}, {"exponential", Warmup::exponential}, {"constant", Warmup::constant}}};
    const std::array<std::pair<std::string_view, std::int64_t>, 2> units{
        {{"step", 1}, {"epoch", std::max<std::int64_t>(1, length.steps_per_epoch)}}};
    kind_ = named(kinds, "optim.schedule", settings.schedule);
    warmup_kind_ = named(warmups, "optim.warmup", settings.warmup);
    hold_ = named(units, "optim.schedule_unit", settings.schedule_unit);
    std::sort(milestones_.begin(), milestones_.end());
    check(length.steps);
}

void Schedule::check(std::int64_t total_steps) const {
    if (!(rate_ > 0) || lowest_rate_ > rate_) {
        refuse(
            fmt::format("optim.lr {} must be positive and not below optim.min_lr {}.", rate_, lowest_rate_));
    }
    if (warmup_ < 0 || warmup_ >= total_) {
        refuse(
            fmt::format("optim.warmup_steps {} leaves nothing of the run's {} steps.", warmup_, total_steps),
            "Shorten the warm-up or lengthen the run.");
    }
    if (warmup_ > 0 && warmup_kind_ == Warmup::exponential && !(warmup_start_ > 0)) {
        refuse("optim.warmup \"exponential\" can't start at 0.", "Set optim.warmup_start, e.g. to 0.01.");
    }
    if (kind_ == Kind::step && milestones_.empty()) {
        refuse("optim.schedule \"step\" needs optim.milestones.",
               "Give the steps after which the rate drops, e.g. optim.milestones = [4000, 6000].");
    }
}

double Schedule::warmup_factor(double step) const {
    switch (warmup_kind_) {
        case Warmup::linear:
            return warmup_start_ + (1 - warmup_start_) * step / warmup_;
        case Warmup::exponential:
            return std::pow(warmup_start_, 1 - step / warmup_);
        case Warmup::constant:
            return warmup_start_;
    }
    return 1;
}

double Schedule::rate(std::int64_t step, std::int64_t reductions) const {
    if (static_cast<double>(step) < warmup_) return rate_ * warmup_factor(static_cast<double>(step));
    const double position = std::max(warmup_, static_cast<double>(step - step % hold_));
    const double progress = std::clamp((position - warmup_) / (total_ - warmup_), 0.0, 1.0);
    switch (kind_) {
        case Kind::constant:
            return rate_;
        case Kind::cosine:
            return lowest_rate_ + (rate_ - lowest_rate_) * (1 + std::cos(std::numbers::pi * progress)) / 2;
        case Kind::poly:
            return lowest_rate_ + (rate_ - lowest_rate_) * std::pow(1 - progress, power_);
        case Kind::step: {
            const auto passed =
                std::upper_bound(milestones_.begin(), milestones_.end(), step / hold_) - milestones_.begin();
            return rate_ * std::pow(gamma_, static_cast<double>(passed));
        }
        case Kind::plateau:
            return std::max(lowest_rate_, rate_ * std::pow(factor_, static_cast<double>(reductions)));
    }
    return rate_;
}

}  // namespace terrane::optim

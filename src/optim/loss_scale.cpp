#include "optim/loss_scale.hpp"

namespace terrane::optim {

namespace {

constexpr double initial = 65536;
constexpr double largest = 1 << 24;  // beyond it the scaled loss itself overflows
constexpr std::int64_t steps_to_grow = 2000;

}  // namespace

LossScale::LossScale(const std::string& precision) : dynamic_(precision == "fp16") {
    if (dynamic_) state_.value = initial;
}

void LossScale::good() {
    if (!dynamic_ || ++state_.good_steps < steps_to_grow) return;
    state_.good_steps = 0;
    if (state_.value < largest) state_.value *= 2;
}

bool LossScale::overflowed() {
    state_.good_steps = 0;
    if (!dynamic_ || state_.value <= 1) return false;
    state_.value /= 2;
    return true;
}

void LossScale::restore(const State& state) {
    if (dynamic_) state_ = state;
}

}  // namespace terrane::optim

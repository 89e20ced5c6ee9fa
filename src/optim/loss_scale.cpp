#include "optim/loss_scale.hpp"

namespace terrane::optim {

namespace {

constexpr double largest = 0x1p24, smallest = 0x1p-24;
constexpr std::int64_t steps_to_grow = 2000;

}  // namespace

LossScale::LossScale(const std::string& precision) : dynamic_(precision == "fp16") {}

bool LossScale::good() {
    if (!dynamic_ || ++state_.good_steps < steps_to_grow) return false;
    state_.good_steps = 0;
    if (state_.value >= largest) return false;
    state_.value *= 2;
    return true;
}

bool LossScale::overflowed() {
    state_.good_steps = 0;
    if (!dynamic_ || state_.value <= smallest) return false;
    state_.value /= 2;
    return true;
}

void LossScale::restore(const State& state) {
    if (dynamic_) state_ = state;
}

}  // namespace terrane::optim

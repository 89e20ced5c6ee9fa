#pragma once

#include "device/update.hpp"
#include "formulas/host_device.hpp"

/// The dynamic loss scale of fp16 (Micikevicius et al. 2018). Losses are sums over pixels, whose gradients
/// already are those of a mean times the number of pixels: so it starts at 1, doubles after 2000 good updates
/// in a row, up to 2^24, and halves with every overflow, whose update is left out, down to 2^-24. All ranks
/// see the same overflows, so they hold the same factor.
namespace terrane::formulas {

inline constexpr double largest_loss_scale = 0x1p24, smallest_loss_scale = 0x1p-24;
inline constexpr std::int64_t steps_to_grow = 2000;

/// After an update that was made.
TERRANE_HOST_DEVICE inline void count_good(device::LossScale& scale) {
    if (++scale.good_steps < steps_to_grow) return;
    scale.good_steps = 0;
    if (scale.value < largest_loss_scale) scale.value *= 2;
}

/// After one that was not finite. True: the factor was to blame and is lower now; false: it can't be lowered,
/// the numbers themselves are bad.
TERRANE_HOST_DEVICE inline bool count_overflow(device::LossScale& scale) {
    scale.good_steps = 0;
    if (scale.value <= smallest_loss_scale) return false;
    scale.value /= 2;
    return true;
}

}  // namespace terrane::formulas

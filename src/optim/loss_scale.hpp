#pragma once

#include <cstdint>
#include <string>

namespace terrane::optim {

/// The factor that keeps fp16 gradients in the range of that type: the gradients of the losses are multiplied
/// by it, the optimizer divides by it. Losses are sums over pixels, whose gradients already are those of a
/// mean times the number of pixels: so it starts at 1, doubles after 2000 good updates in a row, up to 2^24,
/// and halves with every overflow, whose update is left out, down to 2^-24. Precisions with the exponents of
/// fp32 (fp32, bf16) have the constant 1. All ranks see the same overflows, so they hold the same factor.
class LossScale {
  public:
    struct State {
        double value = 1;
        std::int64_t good_steps = 0;  ///< since the last change

        bool operator==(const State&) const = default;
    };

    /// `precision`: train.precision.
    explicit LossScale(const std::string& precision);

    double value() const { return state_.value; }
    /// After an update with finite gradients. True: the factor is larger now.
    bool good();
    /// After one that was not finite. True: the factor was to blame and is lower now; false: it can't be
    /// lowered, the numbers themselves are bad.
    bool overflowed();

    const State& state() const { return state_; }
    /// To go on from a checkpoint.
    void restore(const State& state);

  private:
    bool dynamic_;
    State state_;
};

}  // namespace terrane::optim

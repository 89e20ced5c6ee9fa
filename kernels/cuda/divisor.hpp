#pragma once

#include <cstdint>

#include "formulas/host_device.hpp"

namespace terrane::cuda {

/// A number that is known before a kernel starts and that its threads divide by: a division is a
/// multiplication and a shift. Dividends are not negative.
class Divisor {
  public:
    Divisor() = default;
    /// 0 < value < 2^31.
    explicit Divisor(std::int64_t value) : value_(static_cast<int>(value)) {
        while ((std::int64_t{1} << shift_) < value) ++shift_;
        const auto beyond = static_cast<std::uint64_t>((std::int64_t{1} << shift_) - value);
        multiplier_ = static_cast<std::uint32_t>((beyond << 32) / static_cast<std::uint64_t>(value) + 1);
    }
    TERRANE_HOST_DEVICE operator int() const { return value_; }

    TERRANE_HOST_DEVICE friend int operator/(int dividend, const Divisor& divisor) {
        const auto x = static_cast<std::uint32_t>(dividend);
#ifdef __CUDA_ARCH__
        const std::uint32_t high = __umulhi(x, divisor.multiplier_);
#else
        const auto high =
            static_cast<std::uint32_t>((static_cast<std::uint64_t>(x) * divisor.multiplier_) >> 32);
#endif
        return static_cast<int>((high + x) >> divisor.shift_);
    }

  private:
    int value_ = 1;
    std::uint32_t multiplier_ = 1;
    int shift_ = 0;
};

}  // namespace terrane::cuda

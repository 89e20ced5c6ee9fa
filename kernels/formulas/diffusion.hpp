#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/philox.hpp"
#include "formulas/host_device.hpp"
#include "ops/state_blend.hpp"

/// The recursion of a diffusion network, pixel by pixel: noise, projection, blending. `values` are the K
/// numbers of a pixel.
namespace terrane::formulas {

/// Words of Philox for one block of four elements of a sample. `moment` tells the draws of one pass from
/// another's.
TERRANE_HOST_DEVICE inline Philox::Counter sample_words(std::uint64_t seed, std::int64_t key,
                                                        std::uint32_t moment, std::int64_t block) {
    const auto wide = static_cast<std::uint64_t>(key);
    return Philox::draw(seed,
                        Philox::Counter{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(wide),
                                        static_cast<std::uint32_t>(wide >> 32), moment});
}

/// The moment of a time: its bits as a float, so that every time of the grid has its own draws.
TERRANE_HOST_DEVICE inline std::uint32_t moment_of(float time) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &time, sizeof(bits));
    return bits;
}
/// No float time has these bits: they are a NaN.
inline constexpr std::uint32_t moment_of_the_beginning = 0xffffffffu;

/// A standard normal number by Box and Muller: elements 4b .. 4b + 3 come from the words of block b.
template <typename Real>
TERRANE_HOST_DEVICE inline Real normal_of(const Philox::Counter& words, std::int64_t lane) {
    const std::size_t pair = lane < 2 ? 0 : 2;
    const Real uniform = (static_cast<Real>(words[pair] >> 8) + Real{1}) * static_cast<Real>(0x1.0p-24);
    const Real angle = static_cast<Real>(words[pair + 1] >> 8) * static_cast<Real>(0x1.0p-24) *
                       static_cast<Real>(6.283185307179586476925);
    const Real radius = std::sqrt(Real{-2} * std::log(uniform));
    return radius * (lane % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

/// Numbers e, e + 1, ... of a sample one after another; draws each block once.
class SampleNoise {
  public:
    TERRANE_HOST_DEVICE SampleNoise(std::uint64_t seed, std::int64_t key, std::uint32_t moment)
        : seed_(seed), key_(key), moment_(moment) {}

    template <typename Real>
    TERRANE_HOST_DEVICE Real normal(std::int64_t element) {
        fetch(element);
        return normal_of<Real>(words_, element % 4);
    }
    TERRANE_HOST_DEVICE float uniform(std::int64_t element) {
        fetch(element);
        return Philox::uniform(words_[static_cast<std::size_t>(element % 4)]);
    }

  private:
    TERRANE_HOST_DEVICE void fetch(std::int64_t element) {
        if (element / 4 == block_) return;
        block_ = element / 4;
        words_ = sample_words(seed_, key_, moment_, block_);
    }

    std::uint64_t seed_;
    std::int64_t key_;
    std::uint32_t moment_;
    std::int64_t block_ = -1;
    Philox::Counter words_{};
};

template <typename Real>
TERRANE_HOST_DEVICE inline Real clipped(Real value) {
    return value < 0 ? Real{0} : (value > 1 ? Real{1} : value);
}

/// values = softmax(values), in place.
template <typename Real>
TERRANE_HOST_DEVICE inline void softmax_in_place(Real* values, std::int64_t count) {
    Real highest = values[0];
    for (std::int64_t c = 1; c < count; ++c) highest = values[c] > highest ? values[c] : highest;
    Real sum = 0;
    for (std::int64_t c = 0; c < count; ++c) sum += values[c] = std::exp(values[c] - highest);
    for (std::int64_t c = 0; c < count; ++c) values[c] /= sum;
}

/// The divisor of ops::SimplexProjection, and whether it follows the values.
template <typename Real>
struct ProjectionSum {
    Real divisor = 1;
    bool follows = true;
};
template <typename Real>
TERRANE_HOST_DEVICE inline ProjectionSum<Real> projection_sum(const Real* values, std::int64_t count,
                                                              Real floor, Real least_sum) {
    Real sum = 0;
    for (std::int64_t c = 0; c < count; ++c) sum += values[c] > floor ? values[c] : floor;
    if (sum < least_sum) return {least_sum, false};
    return {sum, true};
}

/// Entropy over ln K: 0 for a certain class, 1 for none.
template <typename Real>
TERRANE_HOST_DEVICE inline Real relative_entropy(const Real* shares, std::int64_t count) {
    Real sum = 0;
    for (std::int64_t c = 0; c < count; ++c) {
        if (shares[c] > 0) sum -= shares[c] * std::log(shares[c]);
    }
    return count > 1 ? sum / std::log(static_cast<Real>(count)) : sum;
}

/// The share of the proposal in a blended state.
template <typename Real>
TERRANE_HOST_DEVICE inline Real blend_gain(const ops::StateBlend& op, bool begins, const Real* previous,
                                           const Real* proposal, std::int64_t count) {
    const Real gain = static_cast<Real>(op.gain);
    if (begins) return 1;
    if (op.rule == ops::StateBlend::Rule::average) return gain;
    const Real surer = relative_entropy(previous, count) - relative_entropy(proposal, count);
    return gain + (1 - gain) / (1 + std::exp(-static_cast<Real>(op.sharpness) * surer));
}

/// Weight of a pixel in losses over soft targets.
template <typename Real, typename Weights>
TERRANE_HOST_DEVICE inline Real pixel_weight(const Real* targets, const Weights& weights, std::int64_t count,
                                             ops::VoidPixels void_pixels) {
    Real sum = 0, weight = 0;
    for (std::int64_t c = 0; c < count; ++c) {
        sum += targets[c];
        weight += targets[c] * static_cast<Real>(weights[c]);
    }
    if (sum > 0) return weight;
    return void_pixels == ops::VoidPixels::masked ? Real{0} : Real{1};
}

/// The k-th frequency of a time embedding with `half` of them.
template <typename Real>
TERRANE_HOST_DEVICE inline Real time_frequency(std::int64_t k, std::int64_t half) {
    return std::exp(-static_cast<Real>(k) * std::log(Real{10000}) / static_cast<Real>(half - 1));
}

/// Channel c of 64 of the positional code at (x, y) in [-1, 1].
template <typename Real>
TERRANE_HOST_DEVICE inline Real position_code(std::int64_t c, Real x, Real y) {
    const Real frequency = std::pow(Real{10000}, -static_cast<Real>(c % 16) / Real{16});
    const Real angle = (c < 32 ? x : y) * frequency;
    return c / 16 % 2 == 0 ? std::sin(angle) : std::cos(angle);
}

/// linspace(-1, 1, count)[i]
template <typename Real>
TERRANE_HOST_DEVICE inline Real spaced(std::int64_t i, std::int64_t count) {
    return count > 1 ? Real{-1} + Real{2} * static_cast<Real>(i) / static_cast<Real>(count - 1) : Real{-1};
}

/// Weights of the Sobel kernels at row r and column c of 3 x 3.
TERRANE_HOST_DEVICE inline int sobel_x(int r, int c) {
    return (1 - c) * (r == 1 ? 2 : 1);
}
TERRANE_HOST_DEVICE inline int sobel_y(int r, int c) {
    return (1 - r) * (c == 1 ? 2 : 1);
}

}  // namespace terrane::formulas

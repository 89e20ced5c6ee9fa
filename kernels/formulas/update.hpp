#pragma once

#include <cmath>
#include <cstdint>

#include "device/update.hpp"
#include "formulas/host_device.hpp"

/// Optimizer updates of one parameter; see device/flat_kernels.hpp for the maths and its sources.
namespace terrane::formulas {

TERRANE_HOST_DEVICE inline bool is_frozen(const device::UpdateSegment& segment, std::int64_t step) {
    return step <= segment.first_step;
}

template <typename Real>
struct SgdFactors {
    Real gradient_scale = 1;
    Real decay = 0;
    Real momentum = 0;
    Real rate = 0;
};

template <typename Real>
TERRANE_HOST_DEVICE inline SgdFactors<Real> sgd_factors(const device::UpdateScalars& scalars,
                                                        const device::UpdateSegment& segment) {
    return {static_cast<Real>(scalars.gradient_scale),
            static_cast<Real>(scalars.weight_decay * segment.decay_multiplier),
            static_cast<Real>(scalars.momentum), static_cast<Real>(scalars.rate * segment.rate_multiplier)};
}

template <typename Real>
TERRANE_HOST_DEVICE inline void sgd_update(float& parameter, float gradient, float& velocity,
                                           const SgdFactors<Real>& factors) {
    const Real w = parameter;
    const Real g = static_cast<Real>(gradient) * factors.gradient_scale + factors.decay * w;
    const Real v = factors.momentum * static_cast<Real>(velocity) + g;
    velocity = static_cast<float>(v);
    parameter = static_cast<float>(w - factors.rate * v);
}

template <typename Real>
struct AdamwFactors {
    Real gradient_scale = 1;
    Real keep = 1;   ///< 1 - rate * decay, decoupled
    Real decay = 0;  ///< coupled
    Real beta1 = 0, one_minus_beta1 = 1;
    Real beta2 = 0, one_minus_beta2 = 1;
    Real step_size = 0;                 ///< rate / (1 - beta1^t)
    Real inverse_root_correction2 = 1;  ///< 1 / sqrt(1 - beta2^t)
    Real epsilon = 0;
};

template <typename Real>
TERRANE_HOST_DEVICE inline AdamwFactors<Real> adamw_factors(const device::UpdateScalars& scalars,
                                                            const device::UpdateSegment& segment) {
    const double rate = scalars.rate * segment.rate_multiplier;
    const double decay = scalars.weight_decay * segment.decay_multiplier;
    const bool coupled = scalars.decay == device::WeightDecay::coupled;
    const double step = static_cast<double>(scalars.step - segment.first_step);
    return {static_cast<Real>(scalars.gradient_scale),
            static_cast<Real>(coupled ? 1 : 1 - rate * decay),
            static_cast<Real>(coupled ? decay : 0),
            static_cast<Real>(scalars.beta1),
            static_cast<Real>(1 - scalars.beta1),
            static_cast<Real>(scalars.beta2),
            static_cast<Real>(1 - scalars.beta2),
            static_cast<Real>(rate / (1 - std::pow(scalars.beta1, step))),
            static_cast<Real>(1 / std::sqrt(1 - std::pow(scalars.beta2, step))),
            static_cast<Real>(scalars.epsilon)};
}

template <typename Real>
TERRANE_HOST_DEVICE inline void adamw_update(float& parameter, float gradient, float& moment1, float& moment2,
                                             const AdamwFactors<Real>& factors) {
    const Real w = parameter;
    const Real g = static_cast<Real>(gradient) * factors.gradient_scale + factors.decay * w;
    const Real m = factors.beta1 * static_cast<Real>(moment1) + factors.one_minus_beta1 * g;
    const Real v = factors.beta2 * static_cast<Real>(moment2) + factors.one_minus_beta2 * g * g;
    moment1 = static_cast<float>(m);
    moment2 = static_cast<float>(v);
    const Real root = std::sqrt(v) * factors.inverse_root_correction2 + factors.epsilon;
    parameter = static_cast<float>(factors.keep * w - factors.step_size * m / root);
}

TERRANE_HOST_DEVICE inline float blended(float average, float value, float keep) {
    return value + keep * (average - value);
}

/// sum_of_squares adds blocks of this many values, block by block in order: the result does not depend on who
/// summed which block.
inline constexpr std::int64_t sum_block = 4096;

}  // namespace terrane::formulas

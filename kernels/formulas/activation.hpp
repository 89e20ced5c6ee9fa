#pragma once

#include <cmath>

#include "formulas/host_device.hpp"
#include "ops/activation.hpp"

namespace terrane::formulas {

template <typename Real>
TERRANE_HOST_DEVICE inline Real sigmoid(Real x) {
    return Real{1} / (Real{1} + std::exp(-x));
}

/// The normal distribution function Phi(x).
template <typename Real>
TERRANE_HOST_DEVICE inline Real normal_cumulative(Real x) {
    return Real{0.5} * std::erfc(x * Real(-0.70710678118654752440));
}

/// y = f(x), see ops/activation.hpp.
template <ops::ActivationKind kind, typename Real>
TERRANE_HOST_DEVICE inline Real activate(Real x) {
    if constexpr (kind == ops::ActivationKind::relu) {
        return x > Real{0} ? x : Real{0};
    } else if constexpr (kind == ops::ActivationKind::gelu) {
        return x * normal_cumulative(x);
    } else if constexpr (kind == ops::ActivationKind::silu) {
        return x * sigmoid(x);
    } else {
        static_assert(kind == ops::ActivationKind::sigmoid);
        return sigmoid(x);
    }
}

/// f'(x), from y for relu and sigmoid and from x for gelu and silu: what the op's BackwardNeeds keep.
template <ops::ActivationKind kind, typename Real>
TERRANE_HOST_DEVICE inline Real activation_slope(Real kept) {
    if constexpr (kind == ops::ActivationKind::relu) {
        return kept > Real{0} ? Real{1} : Real{0};
    } else if constexpr (kind == ops::ActivationKind::gelu) {
        const Real density = Real(0.39894228040143267794) * std::exp(Real{-0.5} * kept * kept);
        return normal_cumulative(kept) + kept * density;
    } else if constexpr (kind == ops::ActivationKind::silu) {
        const Real gate = sigmoid(kept);
        return gate * (Real{1} + kept * (Real{1} - gate));
    } else {
        static_assert(kind == ops::ActivationKind::sigmoid);
        return kept * (Real{1} - kept);
    }
}

}  // namespace terrane::formulas

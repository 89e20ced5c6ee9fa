#pragma once

#include <cmath>

#include "formulas/host_device.hpp"

/// Normalisation (batch, group, layer): per group of values sharing statistics, from sums in double to the
/// few coefficients the pass over memory needs.
namespace terrane::formulas {

/// Mean and biased variance of `count` values.
struct Moments {
    double mean = 0;
    double variance = 0;
};

/// From the sums of values and of their squares. Take the sums of x - pivot with a pivot near the mean (any
/// one of the values will do) where float input of large mean and small spread must survive; `pivot` is then
/// added back.
TERRANE_HOST_DEVICE inline Moments moments_from_sums(double sum, double sum_of_squares, double count,
                                                     double pivot = 0) {
    const double mean = sum / count;
    const double variance = sum_of_squares / count - mean * mean;
    return {mean + pivot, variance > 0 ? variance : 0};
}

TERRANE_HOST_DEVICE inline double inverse_deviation(double variance, double epsilon) {
    return 1.0 / std::sqrt(variance + epsilon);
}

/// y = (x - mean) * factor + shift: subtracting first keeps the digits that a * x + b would lose when the
/// mean is large. What rounding the mean to Real cuts off is moved into the shift.
template <typename Real>
struct NormForward {
    Real mean = 0;
    Real factor = 1;
    Real shift = 0;

    TERRANE_HOST_DEVICE Real apply(Real x) const { return (x - mean) * factor + shift; }
};

template <typename Real>
TERRANE_HOST_DEVICE inline NormForward<Real> norm_forward(double mean, double inverse_std, double scale,
                                                          double shift) {
    const double cut_off = mean - static_cast<double>(static_cast<Real>(mean));
    return {static_cast<Real>(mean), static_cast<Real>(scale * inverse_std),
            static_cast<Real>(shift - cut_off * scale * inverse_std)};
}

/// dx = (x - mean) * along_x + dz * along_gradient + constant.
template <typename Real>
struct NormBackward {
    Real mean = 0;
    Real along_gradient = 1;
    Real along_x = 0;
    Real constant = 0;

    TERRANE_HOST_DEVICE Real apply(Real x, Real dz) const {
        return dz * along_gradient + ((x - mean) * along_x + constant);
    }
};

/// With g = scale * dz: dx = inverse_std * (g - mean(g) - xhat * mean(g * xhat)), the means over the values
/// that share statistics. For batch norm mean(g) = scale * dshift / n and mean(g * xhat) = scale * dscale /
/// n.
template <typename Real>
TERRANE_HOST_DEVICE inline NormBackward<Real> norm_backward(double mean, double inverse_std, double scale,
                                                            double mean_g, double mean_g_xhat) {
    const double along_x = -inverse_std * inverse_std * mean_g_xhat;
    const double cut_off = mean - static_cast<double>(static_cast<Real>(mean));
    return {static_cast<Real>(mean), static_cast<Real>(scale * inverse_std), static_cast<Real>(along_x),
            static_cast<Real>(-inverse_std * mean_g - cut_off * along_x)};
}

/// The running statistic after a training step.
TERRANE_HOST_DEVICE inline double running_value(double running, double batch_value, double momentum) {
    return (1 - momentum) * running + momentum * batch_value;
}

/// The variance that enters the running statistic; one value alone has none to correct.
TERRANE_HOST_DEVICE inline double unbiased(double variance, double count) {
    return count > 1 ? variance * (count / (count - 1)) : variance;
}

}  // namespace terrane::formulas

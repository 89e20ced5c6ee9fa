#pragma once

#include <cmath>
#include <cstdint>

#include "base/philox.hpp"
#include "formulas/host_device.hpp"
#include "ops/kernel_discrepancy.hpp"

/// The maths of ops::KernelDiscrepancy that backends share.
namespace terrane::formulas {

/// Constants of a kernel for K classes.
template <typename Real>
struct DiscrepancyKernel {
    ops::KernelDiscrepancy::Measure measure = ops::KernelDiscrepancy::Measure::gauss;
    Real inverse_square = 1;  ///< gauss: 1 / b^2; sphere: 1 / (2 s^2) = K / (2 b^2)
    Real half_classes = 1;    ///< K / 2
};

template <typename Real>
TERRANE_HOST_DEVICE inline DiscrepancyKernel<Real> discrepancy_kernel(const ops::KernelDiscrepancy& op,
                                                                      std::int64_t classes) {
    const double square = 1 / (op.bandwidth * op.bandwidth);
    const double half = static_cast<double>(classes) / 2;
    const bool gauss = op.measure == ops::KernelDiscrepancy::Measure::gauss;
    return {op.measure, static_cast<Real>(gauss ? square : half * square), static_cast<Real>(half)};
}

/// 1F1(a; b; -z) for z >= 0 by Kummer's transformation e^-z 1F1(b - a; b; z): all terms are positive. `terms`
/// suffice for the z that occur: r^2 <= 2 gives z <= K / b^2.
template <typename Real>
TERRANE_HOST_DEVICE inline Real hypergeometric(Real a, Real b, Real z) {
    Real term = 1, sum = 1;
    for (int n = 0; n < 200; ++n) {
        const Real index = static_cast<Real>(n);
        term *= (b - a + index) / (b + index) * z / (index + 1);
        sum += term;
        if (term < sum * static_cast<Real>(1e-17)) break;
    }
    return std::exp(-z) * sum;
}

/// Kernel value at squared distance r2, and w with dk/dx = -w (x - y).
template <typename Real>
struct KernelValue {
    Real value = 0;
    Real pull = 0;
};
template <typename Real>
TERRANE_HOST_DEVICE inline KernelValue<Real> kernel_value(const DiscrepancyKernel<Real>& kernel, Real r2) {
    if (kernel.measure == ops::KernelDiscrepancy::Measure::gauss) {
        const Real value = Real{1} / std::sqrt(Real{1} + r2 * kernel.inverse_square);
        return {value, value * value * value * kernel.inverse_square};
    }
    const Real z = r2 * kernel.inverse_square, b = kernel.half_classes;
    const Real slope = kernel.inverse_square / (Real{2} * b);  // -dk/dr2 = slope * 1F1(3/2; b + 1; -z)
    return {hypergeometric<Real>(Real(0.5), b, z),
            Real{2} * slope * hypergeometric<Real>(Real(1.5), b + Real{1}, z)};
}

/// Divisors of the two inner means.
TERRANE_HOST_DEVICE inline double pair_count(ops::KernelDiscrepancy::Estimator estimator, double n) {
    return estimator == ops::KernelDiscrepancy::Estimator::unbiased ? n * (n - 1) : n * n;
}

/// A pseudo-random permutation of 0 .. size-1 (a Feistel network of Philox rounds with cycle walking), by
/// which pixels are drawn without replacement.
class Shuffle {
  public:
    TERRANE_HOST_DEVICE Shuffle(std::uint64_t seed, std::uint64_t stream, std::int64_t size)
        : key_(seed ^ 0x9e3779b97f4a7c15ull * (stream + 1)), size_(static_cast<std::uint64_t>(size)) {
        while (std::uint64_t{1} << (2 * half_bits_) < size_) ++half_bits_;
    }

    TERRANE_HOST_DEVICE std::int64_t operator()(std::int64_t index) const {
        const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
        auto value = static_cast<std::uint64_t>(index);
        do {
            std::uint64_t left = value >> half_bits_;
            std::uint64_t right = value & mask;
            for (std::uint64_t round = 0; round < 6; ++round) {
                const std::uint64_t mixed = (left ^ Philox::draw(key_, round, right)[0]) & mask;
                left = right;
                right = mixed;
            }
            value = left << half_bits_ | right;
        } while (value >= size_);
        return static_cast<std::int64_t>(value);
    }

  private:
    std::uint64_t key_;
    std::uint64_t size_;
    int half_bits_ = 1;
};

/// Place of a target vector among the atoms: the multiset of `parts` classes that share the pixel, ranked by
/// the combinatorial number system; the last atom is the zero vector.
template <typename Real>
TERRANE_HOST_DEVICE inline std::int64_t atom_of(const Real* target, std::int64_t classes,
                                                std::int64_t parts) {
    std::int64_t index = 0, found = 0;
    for (std::int64_t c = 0; c < classes; ++c) {
        auto share = static_cast<std::int64_t>(std::floor(target[c] * static_cast<Real>(parts) + Real(0.5)));
        for (; share > 0 && found < parts; --share) {
            // Adds (c + found) over (found + 1).
            std::int64_t ways = 1;
            for (std::int64_t i = 0; i <= found; ++i) ways = ways * (c + found - i) / (i + 1);
            index += ways;
            ++found;
        }
    }
    if (found == parts) return index;
    std::int64_t all = 1;
    for (std::int64_t i = 0; i < parts; ++i) all = all * (classes + i) / (i + 1);
    return all;
}

/// The vector of an atom: the inverse of atom_of.
template <typename Real>
TERRANE_HOST_DEVICE inline void vector_of_atom(std::int64_t atom, std::int64_t classes, std::int64_t parts,
                                               Real* vector) {
    for (std::int64_t c = 0; c < classes; ++c) vector[c] = 0;
    std::int64_t all = 1;
    for (std::int64_t i = 0; i < parts; ++i) all = all * (classes + i) / (i + 1);
    if (atom >= all) return;
    for (std::int64_t place = parts; place > 0; --place) {
        std::int64_t c = classes - 1;
        for (;; --c) {
            std::int64_t ways = 1;
            for (std::int64_t i = 0; i < place; ++i) ways = ways * (c + place - 1 - i) / (i + 1);
            if (ways <= atom) {
                atom -= ways;
                break;
            }
        }
        vector[c] += Real{1} / static_cast<Real>(parts);
    }
}

}  // namespace terrane::formulas

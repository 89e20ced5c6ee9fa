#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Squared maximum mean discrepancy between the distribution of predicted class shares and that of the
/// targets, with the kernel that an average over all one-dimensional projections gives: no direction cancels
/// another. With r^2 = |x - y|^2 and b = bandwidth:
///   gauss:  k = (1 + r^2 / b^2)^(-1/2), directions N(0, I / b^2)
///   sphere: k = 1F1(1/2; K/2; -r^2 / (2 s^2)), directions uniform on the sphere, s = b / sqrt(K)
/// Inputs: shares p [N,H,W,K], targets f32 [N,H,W,K], class_weights f32 [K]. X: up to max_samples valid
/// pixels of p, drawn without replacement; n of them. Y: `atoms`: all M valid targets, as counts of the few
/// vectors that occur (multiples of 1 / parts); `sampled`: as many, drawn independently of X. With the
/// U-statistic
///   T = 1/(n(n-1)) sum_{i!=j} k(x_i,x_j) + 1/(m(m-1)) sum_{i!=j} k(y_i,y_j) - 2/(nm) sum_ij k(x_i,y_j)
/// and with `biased` plain means. T can be negative. Draws are Philox permutations of the pixels of the pass
/// (scope global: of all ranks, with X and counts summed over the ranks; scope rank: of this rank; scope
/// image: of each sample alone, which has a T of its own). Output f64 [2] = {T * W, 0} (global: the ranks'
/// outputs add up to that; image: the sum over samples) where W sums BrierLoss's pixel weights over the
/// scope, so that this term enters the mean loss with exactly loss_weight * T.
/// Backward: dp = loss_weight * W * dT/dp at the drawn pixels, zero elsewhere; computed with the forward
/// pass.
struct KernelDiscrepancy {
    enum class Measure { gauss, sphere };
    enum class Estimator { unbiased, biased };
    enum class Targets { atoms, sampled };
    enum class Scope { rank, global, image };

    Measure measure = Measure::gauss;
    Estimator estimator = Estimator::unbiased;
    Targets targets = Targets::atoms;
    Scope scope = Scope::rank;
    double bandwidth = 1;
    std::int64_t max_samples = 8192;
    std::int64_t parts = 1;  ///< atoms: targets are multiples of 1 / parts; 1 (one-hot) or 4 (means of four)
    VoidPixels void_pixels = VoidPixels::masked;
    double loss_weight = 1;

    /// How many target vectors there can be: the ways to share `parts` among the classes, and zero.
    std::int64_t atoms(std::int64_t classes) const;

    static constexpr std::int64_t most_atoms = 4096;
    static constexpr std::string_view name = "kernel_discrepancy";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

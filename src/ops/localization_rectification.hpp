#pragma once

#include "ops/class_loss.hpp"

namespace terrane::ops {

/// The localization rectification loss (LoRM, Zhang et al. 2024): features of foreground tokens are to be
/// what the tokens that look alike say they are. Inputs: features x [N,h,w,C], queries q and keys k
/// [N,h,w,D], gamma [1], a class map u8 [N,H,W]. Per sample, with T = h w tokens:
///   A = softmax over keys j of cos(q_i, k_j), the norms as sqrt(|q|^2 + epsilon)
///   m_i = 1 if any foreground pixel has weight when the class map is sampled at token i (bilinear, corners
///   aligned),
///         else 0; foreground is every class but `background`, ignored pixels (255) are not
///   R_i = x_i - gamma m_i sum_j A_ij x_j
///   loss = sum R^2 / (number of entries with R^2 != 0)
/// Tokens of the background keep R = x, as published. The numbers of entries are those of all ranks; the
/// result enters as ops/class_loss.hpp says for Denominator::samples: output f64 [2] = {own sum * samples /
/// entries, own samples}.
///
/// Backward (the number of entries is constant), g = loss_weight * samples / entries: dR = 2 g R;
///   O = A x;  dO_i = -gamma m_i dR_i;  dgamma = -sum_i m_i dR_i . O_i;  dA_ij = dO_i . x_j;
///   dS = A (dA - sum_j A dA);  dx_i = dR_i + sum_j A_ji dO_j;
///   dqhat_i = sum_j dS_ij khat_j, dkhat_j = sum_i dS_ij qhat_i;  dq = (dqhat - (qhat . dqhat) qhat) / |q|,
///   dk alike.
/// Nothing of size T x T is kept: kernels go block by block of queries and compute A anew in backward.
struct LocalizationRectification {
    int background = -1;  ///< class of the map that is no object; -1: none, every class is foreground
    double loss_weight = 1;

    static constexpr double epsilon = 1e-12;  ///< a token of zeros has similarity 0 to all others
    static constexpr Denominator denominator = Denominator::samples;
    static constexpr std::string_view name = "localization_rectification";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

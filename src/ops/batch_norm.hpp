#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Whose samples the statistics are taken over: this rank's, or all ranks'.
enum class NormScope { local, synchronised };
/// Whether a ReLU is fused into the op.
enum class Rectify { no, yes };
/// Whether a residual tensor is added before the ReLU.
enum class Residual { no, yes };

/// Batch normalisation over batch, height and width, with the addition of a residual and the ReLU that
/// usually follow. Inputs: x [N,H,W,C], scale [C], shift [C] (f32), running_mean [C], running_variance [C]
/// (f32 states), and with `residual` the tensor to add [N,H,W,C]. Output: y = relu?(scale * (x - mean) /
/// sqrt(variance + epsilon) + shift + residual?). Training: mean and biased variance of the batch (over all
/// ranks if synchronised, sums exchanged in double);
///   running = (1 - momentum) * running + momentum * batch value, the variance unbiased (times n / (n - 1)).
/// Inference: the running values. Backward (training), with dz = dy where y > 0 (all of dy without ReLU):
///   dresidual = dz, dshift = sum dz, dscale = sum dz * xhat,
///   dx = scale * inverse_std * (dz - dshift / n - xhat * dscale / n). Under synchronisation the sums inside
///   dx are global, dscale and dshift stay local (the gradient reduction adds them up).
/// Source: Ioffe and Szegedy 2015; numbers as in PyTorch.
struct BatchNorm {
    double epsilon = 1e-5;
    double momentum = 0.1;
    NormScope scope = NormScope::local;
    Rectify rectify = Rectify::no;
    Residual residual = Residual::no;

    static constexpr std::string_view name = "batch_norm";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops

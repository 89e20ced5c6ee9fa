#pragma once

#include <string_view>
#include <variant>
#include <vector>

#include "ops/activation.hpp"
#include "ops/adaptive_pool.hpp"
#include "ops/add.hpp"
#include "ops/attention.hpp"
#include "ops/batch_norm.hpp"
#include "ops/boundary.hpp"
#include "ops/brier_loss.hpp"
#include "ops/channel_add.hpp"
#include "ops/classify.hpp"
#include "ops/concat.hpp"
#include "ops/convolution.hpp"
#include "ops/cross_entropy.hpp"
#include "ops/denoise.hpp"
#include "ops/dice.hpp"
#include "ops/diffuse.hpp"
#include "ops/distance_entropy.hpp"
#include "ops/dropout.hpp"
#include "ops/focal.hpp"
#include "ops/gated_sum.hpp"
#include "ops/group_norm.hpp"
#include "ops/height_encoding.hpp"
#include "ops/kernel_discrepancy.hpp"
#include "ops/layer_norm.hpp"
#include "ops/linear.hpp"
#include "ops/linear_attention.hpp"
#include "ops/localization_rectification.hpp"
#include "ops/lovasz.hpp"
#include "ops/matmul.hpp"
#include "ops/multiply.hpp"
#include "ops/patches.hpp"
#include "ops/pool.hpp"
#include "ops/positional_embedding.hpp"
#include "ops/resize.hpp"
#include "ops/scale_gradient.hpp"
#include "ops/share_loss.hpp"
#include "ops/simplex_projection.hpp"
#include "ops/slice.hpp"
#include "ops/slope_magnitude.hpp"
#include "ops/soft_targets.hpp"
#include "ops/softmax.hpp"
#include "ops/state_blend.hpp"
#include "ops/time_embedding.hpp"
#include "ops/transposed_convolution.hpp"
#include "ops/tversky.hpp"
#include "ops/uniform_state.hpp"

namespace terrane::ops {

/// The closed set of operations. A backend that lacks one says so when its plan is made, never in a step.
using Op = std::variant<Activation, AdaptivePool, Add, Attention, BatchNorm, Boundary, BrierLoss, ChannelAdd,
                        Classify, Concat, Convolution, CrossEntropy, Denoise, Dice, Diffuse, DistanceEntropy,
                        Dropout, Focal, GatedSum, GroupNorm, HeightEncoding, KernelDiscrepancy, LayerNorm,
                        Linear, LinearAttention, LocalizationRectification, Lovasz, MatMul, Multiply, Patches,
                        Pool, PositionalEmbedding, Resize, ScaleGradient, ShareLoss, SimplexProjection, Slice,
                        SlopeMagnitude, SoftTargets, Softmax, StateBlend, TimeEmbedding,
                        TransposedConvolution, Tversky, UniformState>;

/// An op together with what it is applied to: all a backend needs to plan it.
struct OpDescriptor {
    Op op;
    std::vector<TensorSpec> inputs;
    std::vector<TensorSpec> outputs;
};

/// Applies the op's shape rule. Throws InternalError if the inputs do not fit.
OpDescriptor describe(const Op& op, std::vector<TensorSpec> inputs);
std::string_view name_of(const Op& op);
Cost cost_of(const OpDescriptor& descriptor);
BackwardNeeds backward_needs_of(const Op& op);
/// The weight with which a loss enters the sum; 1 for ops that are none.
double loss_weight_of(const Op& op);

}  // namespace terrane::ops

#pragma once

#include <memory>

#include "cuda/plan.hpp"

namespace terrane::cuda {

// Plans of our own kernels; null for element types or sizes without a kernel. One overload per op.
std::unique_ptr<device::OpPlan> make_kernels(const ops::Activation& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::AdaptivePool& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Add& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Attention& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::BatchNorm& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Boundary& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::BrierLoss& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::ChannelAdd& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Classify& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Concat& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Convolution& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::CrossEntropy& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Denoise& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Dice& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Diffuse& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::DistanceEntropy& op,
                                             const device::PlanRequest& request, Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Dropout& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Focal& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::GatedSum& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::GroupNorm& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::HeightEncoding& op,
                                             const device::PlanRequest& request, Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::KernelDiscrepancy& op,
                                             const device::PlanRequest& request, Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::LayerNorm& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Linear& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::LinearAttention& op,
                                             const device::PlanRequest& request, Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::LocalizationRectification& op,
                                             const device::PlanRequest& request, Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Lovasz& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::MatMul& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Multiply& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Patches& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Pool& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::PositionalEmbedding& op,
                                             const device::PlanRequest& request, Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Resize& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::ScaleGradient& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::ShareLoss& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::SimplexProjection& op,
                                             const device::PlanRequest& request, Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Slice& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::SlopeMagnitude& op,
                                             const device::PlanRequest& request, Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::SoftTargets& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Softmax& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::StateBlend& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::TimeEmbedding& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::TransposedConvolution& op,
                                             const device::PlanRequest& request, Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::Tversky& op, const device::PlanRequest& request,
                                             Queue queue);
std::unique_ptr<device::OpPlan> make_kernels(const ops::UniformState& op, const device::PlanRequest& request,
                                             Queue queue);

}  // namespace terrane::cuda

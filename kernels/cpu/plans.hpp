#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "device/op_plan.hpp"

namespace terrane::cpu {

/// Why a candidate does not take an op; completes the sentence "dnnl: ...".
struct Refusal {
    std::string reason;
};

using Offer = std::variant<std::unique_ptr<device::OpPlan>, Refusal>;

/// One way to run an op. `make` looks at types, shapes and machine and either returns a plan that is ready to
/// run or says why not.
struct Candidate {
    std::string_view name;
    Offer (*make)(const device::PlanRequest& request);
};

// The candidates of every op, best first; the first that accepts is taken.

// dnnl_layer_plan.cpp, dnnl_matmul_plan.cpp
std::span<const Candidate> candidates(const ops::Convolution& op);
std::span<const Candidate> candidates(const ops::TransposedConvolution& op);
std::span<const Candidate> candidates(const ops::Linear& op);
std::span<const Candidate> candidates(const ops::MatMul& op);

// attention.cpp, localization_rectification.cpp
std::span<const Candidate> candidates(const ops::Attention& op);
std::span<const Candidate> candidates(const ops::LocalizationRectification& op);

// memory_bound.cpp
std::span<const Candidate> candidates(const ops::Activation& op);
std::span<const Candidate> candidates(const ops::AdaptivePool& op);
std::span<const Candidate> candidates(const ops::Add& op);
std::span<const Candidate> candidates(const ops::BatchNorm& op);
std::span<const Candidate> candidates(const ops::Boundary& op);
std::span<const Candidate> candidates(const ops::Classify& op);
std::span<const Candidate> candidates(const ops::Concat& op);
std::span<const Candidate> candidates(const ops::CrossEntropy& op);
std::span<const Candidate> candidates(const ops::Dice& op);
std::span<const Candidate> candidates(const ops::DistanceEntropy& op);
std::span<const Candidate> candidates(const ops::Dropout& op);
std::span<const Candidate> candidates(const ops::Focal& op);
std::span<const Candidate> candidates(const ops::GatedSum& op);
std::span<const Candidate> candidates(const ops::GroupNorm& op);
std::span<const Candidate> candidates(const ops::LayerNorm& op);
std::span<const Candidate> candidates(const ops::Lovasz& op);
std::span<const Candidate> candidates(const ops::Multiply& op);
std::span<const Candidate> candidates(const ops::Pool& op);
std::span<const Candidate> candidates(const ops::PositionalEmbedding& op);
std::span<const Candidate> candidates(const ops::Resize& op);
std::span<const Candidate> candidates(const ops::Slice& op);
std::span<const Candidate> candidates(const ops::Softmax& op);
std::span<const Candidate> candidates(const ops::BrierLoss& op);
std::span<const Candidate> candidates(const ops::ChannelAdd& op);
std::span<const Candidate> candidates(const ops::Denoise& op);
std::span<const Candidate> candidates(const ops::Diffuse& op);
std::span<const Candidate> candidates(const ops::HeightEncoding& op);
std::span<const Candidate> candidates(const ops::KernelDiscrepancy& op);
std::span<const Candidate> candidates(const ops::LinearAttention& op);
std::span<const Candidate> candidates(const ops::Patches& op);
std::span<const Candidate> candidates(const ops::SimplexProjection& op);
std::span<const Candidate> candidates(const ops::ScaleGradient& op);
std::span<const Candidate> candidates(const ops::ShareLoss& op);
std::span<const Candidate> candidates(const ops::SlopeMagnitude& op);
std::span<const Candidate> candidates(const ops::SoftTargets& op);
std::span<const Candidate> candidates(const ops::StateBlend& op);
std::span<const Candidate> candidates(const ops::TimeEmbedding& op);
std::span<const Candidate> candidates(const ops::UniformState& op);
std::span<const Candidate> candidates(const ops::Tversky& op);

}  // namespace terrane::cpu

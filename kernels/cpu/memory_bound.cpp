#include <array>

#include "cpu/memory_plans.hpp"

namespace terrane::cpu {
namespace {

/// Our own loops are the only candidate of these ops.
template <Offer (*make)(const device::PlanRequest&)>
std::span<const Candidate> loops() {
    static constexpr std::array<Candidate, 1> only{{{"openmp", make}}};
    return only;
}

}  // namespace

std::span<const Candidate> candidates(const ops::Activation&) {
    return loops<make_activation>();
}
std::span<const Candidate> candidates(const ops::AdaptivePool&) {
    return loops<make_adaptive_pool>();
}
std::span<const Candidate> candidates(const ops::Add&) {
    return loops<make_add>();
}
std::span<const Candidate> candidates(const ops::BatchNorm&) {
    return loops<make_batch_norm>();
}
std::span<const Candidate> candidates(const ops::Boundary&) {
    return loops<make_boundary>();
}
std::span<const Candidate> candidates(const ops::Classify&) {
    return loops<make_classify>();
}
std::span<const Candidate> candidates(const ops::Concat&) {
    return loops<make_concat>();
}
std::span<const Candidate> candidates(const ops::CrossEntropy&) {
    return loops<make_cross_entropy>();
}
std::span<const Candidate> candidates(const ops::Dice&) {
    return loops<make_dice>();
}
std::span<const Candidate> candidates(const ops::DistanceEntropy&) {
    return loops<make_distance_entropy>();
}
std::span<const Candidate> candidates(const ops::Dropout&) {
    return loops<make_dropout>();
}
std::span<const Candidate> candidates(const ops::Focal&) {
    return loops<make_focal>();
}
std::span<const Candidate> candidates(const ops::GatedSum&) {
    return loops<make_gated_sum>();
}
std::span<const Candidate> candidates(const ops::GroupNorm&) {
    return loops<make_group_norm>();
}
std::span<const Candidate> candidates(const ops::LayerNorm&) {
    return loops<make_layer_norm>();
}
std::span<const Candidate> candidates(const ops::Lovasz&) {
    return loops<make_lovasz>();
}
std::span<const Candidate> candidates(const ops::Multiply&) {
    return loops<make_multiply>();
}
std::span<const Candidate> candidates(const ops::Pool&) {
    return loops<make_pool>();
}
std::span<const Candidate> candidates(const ops::PositionalEmbedding&) {
    return loops<make_positional_embedding>();
}
std::span<const Candidate> candidates(const ops::Resize&) {
    return loops<make_resize>();
}
std::span<const Candidate> candidates(const ops::Slice&) {
    return loops<make_slice>();
}
std::span<const Candidate> candidates(const ops::Softmax&) {
    return loops<make_softmax>();
}
std::span<const Candidate> candidates(const ops::BrierLoss&) {
    return loops<make_brier_loss>();
}
std::span<const Candidate> candidates(const ops::ChannelAdd&) {
    return loops<make_channel_add>();
}
std::span<const Candidate> candidates(const ops::Denoise&) {
    return loops<make_denoise>();
}
std::span<const Candidate> candidates(const ops::Diffuse&) {
    return loops<make_diffuse>();
}
std::span<const Candidate> candidates(const ops::HeightEncoding&) {
    return loops<make_height_encoding>();
}
std::span<const Candidate> candidates(const ops::KernelDiscrepancy&) {
    return loops<make_kernel_discrepancy>();
}
std::span<const Candidate> candidates(const ops::LinearAttention&) {
    return loops<make_linear_attention>();
}
std::span<const Candidate> candidates(const ops::Patches&) {
    return loops<make_patches>();
}
std::span<const Candidate> candidates(const ops::SimplexProjection&) {
    return loops<make_simplex_projection>();
}
std::span<const Candidate> candidates(const ops::ScaleGradient&) {
    return loops<make_scale_gradient>();
}
std::span<const Candidate> candidates(const ops::ShareLoss&) {
    return loops<make_share_loss>();
}
std::span<const Candidate> candidates(const ops::SlopeMagnitude&) {
    return loops<make_slope_magnitude>();
}
std::span<const Candidate> candidates(const ops::SoftTargets&) {
    return loops<make_soft_targets>();
}
std::span<const Candidate> candidates(const ops::StateBlend&) {
    return loops<make_state_blend>();
}
std::span<const Candidate> candidates(const ops::TimeEmbedding&) {
    return loops<make_time_embedding>();
}
std::span<const Candidate> candidates(const ops::UniformState&) {
    return loops<make_uniform_state>();
}
std::span<const Candidate> candidates(const ops::Tversky&) {
    return loops<make_tversky>();
}

}  // namespace terrane::cpu

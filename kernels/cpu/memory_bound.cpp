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
std::span<const Candidate> candidates(const ops::Dropout&) {
    return loops<make_dropout>();
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

}  // namespace terrane::cpu

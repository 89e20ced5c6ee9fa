#include "cpu/plans.hpp"

namespace terrane::cpu {

std::span<const Candidate> candidates(const ops::Activation&) {
    return {};
}
std::span<const Candidate> candidates(const ops::AdaptivePool&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Add&) {
    return {};
}
std::span<const Candidate> candidates(const ops::BatchNorm&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Classify&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Concat&) {
    return {};
}
std::span<const Candidate> candidates(const ops::CrossEntropy&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Dice&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Dropout&) {
    return {};
}
std::span<const Candidate> candidates(const ops::GatedSum&) {
    return {};
}
std::span<const Candidate> candidates(const ops::GroupNorm&) {
    return {};
}
std::span<const Candidate> candidates(const ops::LayerNorm&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Multiply&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Pool&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Resize&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Slice&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Softmax&) {
    return {};
}

}  // namespace terrane::cpu

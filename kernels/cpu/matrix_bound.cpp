#include "cpu/plans.hpp"

namespace terrane::cpu {

std::span<const Candidate> candidates(const ops::Convolution&) {
    return {};
}
std::span<const Candidate> candidates(const ops::TransposedConvolution&) {
    return {};
}
std::span<const Candidate> candidates(const ops::Linear&) {
    return {};
}
std::span<const Candidate> candidates(const ops::MatMul&) {
    return {};
}

}  // namespace terrane::cpu

// Which ops have CUDA kernels: for the GPU and for their threads on the host.
#include "kernels/candidate.hpp"

namespace terrane::test {

// Losses over several maps run on other backends only.
bool candidate_has(const ops::Op& op) {
    return std::visit(
        []<typename Kind>(const Kind& kind) {
            if constexpr (std::is_same_v<Kind, ops::DistanceEntropy> ||
                          std::is_same_v<Kind, ops::LocalizationRectification>) {
                return false;
            }
            if constexpr (requires { kind.denominator; })
                return kind.denominator != ops::Denominator::samples;
            return true;
        },
        op);
}

}  // namespace terrane::test

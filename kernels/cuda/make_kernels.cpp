#include "cuda/make_kernels.hpp"

#include "cuda/plans.hpp"

namespace terrane::cuda {

std::unique_ptr<device::OpPlan> make_kernel_plan(const device::PlanRequest& request, Queue queue) {
    return std::visit(
        [&]<typename Op>(const Op& op) -> std::unique_ptr<device::OpPlan> {
            // Losses over several maps run on other backends only.
            if constexpr (std::is_same_v<Op, ops::DistanceEntropy> ||
                          std::is_same_v<Op, ops::LocalizationRectification>) {
                return nullptr;
            } else {
                if constexpr (requires { op.denominator; }) {
                    if (op.denominator == ops::Denominator::samples) return nullptr;
                }
                return make_kernels(op, request, queue);
            }
        },
        request.descriptor.op);
}

}  // namespace terrane::cuda

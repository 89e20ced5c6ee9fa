#include "cuda/make_kernels.hpp"

#include "cuda/plans.hpp"

namespace terrane::cuda {

std::unique_ptr<device::OpPlan> make_kernel_plan(const device::PlanRequest& request, Queue queue) {
    return std::visit([&](const auto& op) { return make_kernels(op, request, queue); },
                      request.descriptor.op);
}

}  // namespace terrane::cuda

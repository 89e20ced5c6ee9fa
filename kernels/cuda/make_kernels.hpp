#pragma once

#include <memory>

#include "cuda/queue.hpp"
#include "device/op_plan.hpp"

namespace terrane::cuda {

/// The plan of our own kernels for any op; null if none takes the request's element types or sizes. Needs no
/// vendor library; compiled by a host compiler, its kernels run on the host (cuda/launch.hpp).
std::unique_ptr<device::OpPlan> make_kernel_plan(const device::PlanRequest& request, Queue queue);

}  // namespace terrane::cuda

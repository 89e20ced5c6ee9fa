#pragma once

#include <memory>

#include "device/op_plan.hpp"

namespace terrane::cuda {

/// Null, with the reason in `refusal`, if no kernel takes the op.
std::unique_ptr<device::OpPlan> make_resize_plan(const ops::Resize& op, const device::PlanRequest& request,
                                                 std::string& refusal);

}  // namespace terrane::cuda

#pragma once

#include <cstring>

#include "cpu/class_rows.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {

/// Base of the losses whose forward pass computes the gradients of the logits along with the loss and keeps
/// them: the softmax is taken once per step, and backward is a copy.
class KeptGradientPlan : public LoopPlan {
  public:
    explicit KeptGradientPlan(const device::PlanRequest& request)
        : gradient_(wants_gradient(request, 0) ? RowGradient::yes : RowGradient::no) {
        if (gradient_ == RowGradient::yes) requirements_.saved = request.descriptor.inputs[0].bytes();
    }

    void backward(const device::BackwardArguments& arguments) final {
        const TensorView& target = arguments.input_gradients[0].view;
        if (target) std::memcpy(target.data, arguments.saved, target.bytes());
    }

  protected:
    RowGradient gradient_;
};

}  // namespace terrane::cpu

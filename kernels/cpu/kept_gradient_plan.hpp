#pragma once

#include <cstring>

#include "cpu/class_rows.hpp"
#include "cpu/plan_support.hpp"
#include "formulas/class_loss.hpp"

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
    /// The second part of forward with Denominator::samples: the loss and the kept gradient of `elements` logits
    /// times what the exchanged {weights, samples} give.
    template <typename T>
    void take_share(const device::ForwardArguments& arguments, std::int64_t elements) const {
        const double share = formulas::share_of_samples(arguments.exchange[0], arguments.exchange[1]);
        arguments.outputs[0].as<double>()[0] *= share;
        if (gradient_ == RowGradient::no) return;
        T* const slopes = reinterpret_cast<T*>(arguments.saved);
        const auto factor = static_cast<float>(share);
        parallel_range(elements, 2 * elements * static_cast<std::int64_t>(sizeof(T)), 64,
                       [&](std::int64_t begin, std::int64_t end) {
                           vectorised([&] {
#pragma omp simd
                               for (std::int64_t i = begin; i < end; ++i) {
                                   store(slopes + i, factor * load(slopes + i));
                               }
                           });
                       });
    }

    RowGradient gradient_;
};

}  // namespace terrane::cpu

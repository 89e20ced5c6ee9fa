#pragma once

#include <string>

#include "cpu/isa.hpp"
#include "cpu/plans.hpp"

namespace terrane::cpu {

/// Base of the plans whose loops are ours.
class LoopPlan : public device::OpPlan {
  public:
    std::string implementation() const override { return std::string("openmp:") + name_of(isa()); }
};

/// The plan Plan<float> or Plan<bfloat16>, made from the request, by the type of the first input.
template <template <typename> class Plan>
Offer offer_by_type(const device::PlanRequest& request) {
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32) return std::make_unique<Plan<float>>(request);
    if (dtype == DType::bf16) return std::make_unique<Plan<bfloat16>>(request);
    return Refusal{"it computes on f32 and bf16, not on " + std::string(terrane::name_of(dtype))};
}

inline bool wants_gradient(const device::PlanRequest& request, std::size_t input) {
    return input < request.gradient_wanted.size() && request.gradient_wanted[input];
}
inline bool wants_any_gradient(const device::PlanRequest& request) {
    for (const bool wanted : request.gradient_wanted) {
        if (wanted) return true;
    }
    return false;
}

/// This rank's part of what a loss is divided by (ops/class_loss.hpp); `weight`: that of the valid pixels.
template <typename Loss>
double own_denominator(const Loss& op, const TensorView& labels, double weight) {
    switch (op.denominator) {
        case ops::Denominator::valid:
            return weight;
        case ops::Denominator::all:
            return static_cast<double>(labels.elements());
        case ops::Denominator::samples:
            return static_cast<double>(labels.shape()[0]);
    }
    throw InternalError("unknown denominator");
}

/// Writes or adds one value of a parameter's gradient.
inline void put(float& target, double value, device::GradientWrite write) {
    target = write == device::GradientWrite::overwrite ? static_cast<float>(value)
                                                       : target + static_cast<float>(value);
}

/// The elements of a view that may be absent.
template <typename T>
T* optional(const TensorView& view) {
    return view ? view.as<T>() : nullptr;
}

}  // namespace terrane::cpu

#pragma once

#include <memory>
#include <string>

#include "cuda/launch.hpp"
#include "device/buffer.hpp"
#include "device/op_plan.hpp"

namespace terrane::cuda {

/// What the plans of our own kernels share. Pointers in the arguments of a run, the step's state and the
/// exchange included, lie in device memory: only kernels follow them.
template <typename Op>
class KernelPlan : public device::OpPlan {
  public:
    KernelPlan(const Op& op, const device::PlanRequest& request, Queue queue)
        : op_(op),
          queue_(queue),
          inputs_(request.descriptor.inputs),
          outputs_(request.descriptor.outputs),
          wanted_(request.gradient_wanted),
          mode_(request.mode) {
        for (const bool wanted : wanted_) trains_ = trains_ || wanted;
        requirements_.gradient_terms = 2;
    }
    std::string implementation() const override { return "cuda"; }
    /// Of the ops without gradient.
    void backward(const device::BackwardArguments&) override {
        throw InternalError(std::string(Op::name) + " has no backward pass");
    }

  protected:
    const Shape& input_shape(std::size_t i) const { return inputs_[i].shape; }
    const Shape& output_shape() const { return outputs_[0].shape; }
    bool trains() const { return trains_; }  ///< whether backward will run
    bool wants(std::size_t i) const { return i < wanted_.size() && wanted_[i]; }

    Op op_;
    Queue queue_;
    std::vector<TensorSpec> inputs_;
    std::vector<TensorSpec> outputs_;
    std::vector<bool> wanted_;
    device::Mode mode_;

  private:
    bool trains_ = false;
};

template <typename T>
Terms<T> terms_of(const device::GradientTerms& terms) {
    return {terms[0].as<T>(), terms[1] ? terms[1].as<T>() : nullptr};
}

inline ParameterGradient parameter_gradient(const device::GradientTarget& target) {
    return {target.view ? target.view.as<float>() : nullptr,
            target.write == device::GradientWrite::accumulate};
}

inline Floats floats(const TensorView& view) {
    return {view.data, view.dtype()};
}
inline FloatsOut floats_out(const TensorView& view) {
    return {view.data, view.dtype()};
}

/// Cuts a workspace or the like into arrays, each aligned as the arena aligns.
class Carver {
  public:
    explicit Carver(std::byte* begin) : next_(begin) {}
    template <typename T>
    T* take(std::int64_t count) {
        return reinterpret_cast<T*>(take_bytes(static_cast<std::size_t>(count) * sizeof(T)));
    }
    double* take_doubles(std::size_t bytes) { return reinterpret_cast<double*>(take_bytes(bytes)); }

  private:
    std::byte* take_bytes(std::size_t bytes) {
        std::byte* const begin = next_;
        next_ += device::aligned(bytes);
        return begin;
    }
    std::byte* next_;
};

/// cuBLASLt refuses a workspace that is not aligned to 256 bytes, four times what plans get: so they ask for
/// more and begin at the first such address.
inline constexpr std::size_t library_alignment = 256;
constexpr std::size_t library_workspace(std::size_t bytes) {
    return bytes == 0 ? 0 : bytes + library_alignment - device::alignment;
}
inline std::byte* library_workspace(std::byte* workspace) {
    const auto address = reinterpret_cast<std::uintptr_t>(workspace);
    return workspace + (library_alignment - address % library_alignment) % library_alignment;
}

/// Bytes of an array that Carver hands out.
template <typename T>
std::size_t carved(std::int64_t count) {
    return device::aligned(static_cast<std::size_t>(count) * sizeof(T));
}

/// Whether no tensor is f64, for plans that decide per element.
inline bool has_float_types(const device::PlanRequest& request) {
    const auto other = [](const TensorSpec& spec) { return spec.dtype == DType::f64; };
    const ops::OpDescriptor& descriptor = request.descriptor;
    return std::none_of(descriptor.inputs.begin(), descriptor.inputs.end(), other) &&
           std::none_of(descriptor.outputs.begin(), descriptor.outputs.end(), other);
}

/// Plan<T> for the element type of the first input; null for types without a kernel.
template <template <typename> class Plan, typename Op>
std::unique_ptr<device::OpPlan> make_typed(const Op& op, const device::PlanRequest& request, Queue queue) {
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32) return std::make_unique<Plan<float>>(op, request, queue);
    if (dtype == DType::bf16) return std::make_unique<Plan<bfloat16>>(op, request, queue);
    if (dtype == DType::f16) return std::make_unique<Plan<float16>>(op, request, queue);
    return nullptr;
}

}  // namespace terrane::cuda

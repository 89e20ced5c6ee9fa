#pragma once

#include <memory>
#include <string>

#include "device/op_plan.hpp"
#include "ref/elements.hpp"

namespace terrane::ref {

/// What every plan of this backend shares: the op, its specs, the mode and which gradients are wanted.
template <typename Op>
class RefPlan : public device::OpPlan {
  public:
    RefPlan(const Op& op, const device::PlanRequest& request)
        : op_(op),
          inputs_(request.descriptor.inputs),
          outputs_(request.descriptor.outputs),
          mode_(request.mode),
          trains_(false) {
        for (const bool wanted : request.gradient_wanted) trains_ = trains_ || wanted;
        requirements_.gradient_terms = 2;
    }
    std::string implementation() const override { return "ref"; }

  protected:
    const Shape& input_shape(std::size_t i) const { return inputs_[i].shape; }
    const Shape& output_shape() const { return outputs_[0].shape; }
    bool trains() const { return trains_; }  ///< whether backward will run

    Op op_;
    std::vector<TensorSpec> inputs_;
    std::vector<TensorSpec> outputs_;
    device::Mode mode_;

  private:
    bool trains_;
};

/// Workspace, saved bytes and the like as doubles.
inline double* doubles(std::byte* bytes) {
    return reinterpret_cast<double*>(bytes);
}
inline std::size_t bytes_of_doubles(std::int64_t count) {
    return static_cast<std::size_t>(count) * sizeof(double);
}

/// Ops without a backward pass.
[[noreturn]] void refuse_backward(std::string_view op);
/// Throws Error E0720: this backend has no kernel for the element type.
[[noreturn]] void refuse_type(std::string_view op, DType dtype);

/// Makes Plan<T> for the element type of the first input.
template <template <typename> class Plan, typename Op>
std::unique_ptr<device::OpPlan> make_typed(const Op& op, const device::PlanRequest& request) {
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32) return std::make_unique<Plan<float>>(op, request);
    if (dtype == DType::f64) return std::make_unique<Plan<double>>(op, request);
    if (dtype == DType::bf16) return std::make_unique<Plan<bfloat16>>(op, request);
    if (dtype == DType::f16) return std::make_unique<Plan<float16>>(op, request);
    refuse_type(Op::name, dtype);
}

// One overload per op; the registry visits the variant with them.
std::unique_ptr<device::OpPlan> make(const ops::Activation& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::AdaptivePool& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Add& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Attention& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::BatchNorm& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Boundary& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Classify& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Concat& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Convolution& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::CrossEntropy& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Dice& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::DistanceEntropy& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Dropout& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Focal& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::GatedSum& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::GroupNorm& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::LayerNorm& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Linear& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::LocalizationRectification& op,
                                     const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Lovasz& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::MatMul& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Multiply& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Pool& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::PositionalEmbedding& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Resize& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Slice& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Softmax& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::TransposedConvolution& op,
                                     const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::BrierLoss& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::ChannelAdd& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Denoise& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Diffuse& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::HeightEncoding& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::KernelDiscrepancy& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::LinearAttention& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Patches& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::ScaleGradient& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::ShareLoss& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::SimplexProjection& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::SlopeMagnitude& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::SoftTargets& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::StateBlend& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::TimeEmbedding& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::UniformState& op, const device::PlanRequest& request);
std::unique_ptr<device::OpPlan> make(const ops::Tversky& op, const device::PlanRequest& request);

}  // namespace terrane::ref

#include "cuda/plans.hpp"
#include "cuda/resize.hpp"

namespace terrane::cuda {

namespace {

template <typename T>
class ResizePlan final : public device::OpPlan {
  public:
    ResizePlan(const ops::Resize& op, const device::PlanRequest& request) {
        const Shape& x = request.descriptor.inputs[0].shape;
        geometry_ = {x.batch(), x.height(), x.width(), op.height, op.width, x.channels(), op.corners};
        requirements_.gradient_terms = 2;
    }

    std::string implementation() const override { return "cuda:resize"; }

    void forward(const device::ForwardArguments& arguments) override {
        launch_resize_forward(arguments.inputs[0].as<T>(), arguments.outputs[0].as<T>(), geometry_);
    }
    void backward(const device::BackwardArguments& arguments) override {
        const device::GradientTerms& dy = arguments.output_gradients[0];
        launch_resize_backward(dy[0].as<T>(), dy[1].as<T>(), arguments.input_gradients[0].view.as<T>(),
                               geometry_);
    }

  private:
    ResizeGeometry geometry_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_resize_plan(const ops::Resize& op, const device::PlanRequest& request,
                                                 std::string& refusal) {
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32) return std::make_unique<ResizePlan<float>>(op, request);
    if (dtype == DType::bf16) return std::make_unique<ResizePlan<bfloat16>>(op, request);
    refusal = fmt::format("cuda:resize takes f32 and bf16, not {}", name_of(dtype));
    return nullptr;
}

}  // namespace terrane::cuda

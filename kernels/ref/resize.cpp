#include "ref/plan.hpp"
#include "ref/upsampled.hpp"

namespace terrane::ref {

namespace {

template <typename T>
class ResizePlan final : public RefPlan<ops::Resize> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const Upsampled<T> x(arguments.inputs[0], op_.height, op_.width, op_.corners);
        const Writer<T> y(arguments.outputs[0]);
        const Shape& shape = output_shape();
        for (std::int64_t i = 0; i < shape.elements(); ++i) {
            const std::int64_t pixel = i / shape.channels();
            y.store(i, x.value(pixel / (op_.height * op_.width), pixel / op_.width % op_.height,
                               pixel % op_.width, i % shape.channels()));
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientWriter dx(arguments.input_gradients[0]);
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const Shape& shape = input_shape(0);
        for (std::int64_t i = 0; i < shape.elements(); ++i) {
            const std::int64_t c = i % shape.channels();
            const std::int64_t pixel = i / shape.channels();
            const std::int64_t n = pixel / (shape.height() * shape.width());
            double sum = 0;
            for_each_target(
                shape, op_.height, op_.width, op_.corners, pixel / shape.width() % shape.height(),
                pixel % shape.width(), [&](std::int64_t row, std::int64_t column, double weight) {
                    sum += weight * dy[((n * op_.height + row) * op_.width + column) * shape.channels() + c];
                });
            dx.store(i, sum);
        }
    }
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Resize& op, const device::PlanRequest& request) {
    return make_typed<ResizePlan>(op, request);
}

}  // namespace terrane::ref

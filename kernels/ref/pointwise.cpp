#include "formulas/activation.hpp"
#include "formulas/dropout.hpp"
#include "ref/plan.hpp"

namespace terrane::ref {

namespace {

using ops::ActivationKind;

double activate(ActivationKind kind, double x) {
    switch (kind) {
        case ActivationKind::relu:
            return formulas::activate<ActivationKind::relu>(x);
        case ActivationKind::gelu:
            return formulas::activate<ActivationKind::gelu>(x);
        case ActivationKind::silu:
            return formulas::activate<ActivationKind::silu>(x);
        case ActivationKind::sigmoid:
            return formulas::activate<ActivationKind::sigmoid>(x);
    }
    return 0;
}

double slope(ActivationKind kind, double kept) {
    switch (kind) {
        case ActivationKind::relu:
            return formulas::activation_slope<ActivationKind::relu>(kept);
        case ActivationKind::gelu:
            return formulas::activation_slope<ActivationKind::gelu>(kept);
        case ActivationKind::silu:
            return formulas::activation_slope<ActivationKind::silu>(kept);
        case ActivationKind::sigmoid:
            return formulas::activation_slope<ActivationKind::sigmoid>(kept);
    }
    return 0;
}

template <typename T>
class ActivationPlan final : public RefPlan<ops::Activation> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) y.store(i, activate(op_.kind, x[i]));
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const Reader<T> kept(op_.backward_needs().inputs != 0 ? arguments.inputs[0] : arguments.outputs[0]);
        const GradientWriter dx(arguments.input_gradients[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) {
            dx.store(i, dy[i] * slope(op_.kind, kept[i]));
        }
    }
};

template <typename T>
class AddPlan final : public RefPlan<ops::Add> {
  public:
    using RefPlan::RefPlan;

    // The output may be one of the inputs: every element is read before it is written.
    void forward(const device::ForwardArguments& arguments) override {
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) {
            double sum = 0;
            for (const TensorView& input : arguments.inputs) sum += Reader<T>(input)[i];
            y.store(i, sum);
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        for (const device::GradientTarget& target : arguments.input_gradients) {
            const GradientWriter dx(target);
            for (std::int64_t i = 0; dx && i < output_shape().elements(); ++i) dx.store(i, dy[i]);
        }
    }
};

template <typename T>
class ScaleGradientPlan final : public RefPlan<ops::ScaleGradient> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) y.store(i, x[i]);
    }
    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const AnyReader factor(arguments.inputs[1]);
        const GradientWriter dx(arguments.input_gradients[0]);
        for (std::int64_t i = 0; dx && i < output_shape().elements(); ++i) dx.store(i, factor[0] * dy[i]);
    }
};

template <typename T>
class MultiplyPlan final : public RefPlan<ops::Multiply> {
  public:
    MultiplyPlan(const ops::Multiply& op, const device::PlanRequest& request) : RefPlan(op, request) {
        requirements_.backward_workspace = bytes_of_doubles(input_shape(1).elements());
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> a(arguments.inputs[0]);
        const AnyReader b(arguments.inputs[1]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) y.store(i, a[i] * b[partner(i)]);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const std::int64_t elements = output_shape().elements();
        if (const GradientWriter da(arguments.input_gradients[0]); da) {
            const AnyReader b(arguments.inputs[1]);
            for (std::int64_t i = 0; i < elements; ++i) da.store(i, dy[i] * b[partner(i)]);
        }
        if (const GradientWriter db(arguments.input_gradients[1]); db) {
            const Reader<T> a(arguments.inputs[0]);
            double* sums = doubles(arguments.workspace);
            std::fill(sums, sums + input_shape(1).elements(), 0.0);
            for (std::int64_t i = 0; i < elements; ++i) sums[partner(i)] += dy[i] * a[i];
            for (std::int64_t i = 0; i < input_shape(1).elements(); ++i) db.store(i, sums[i]);
        }
    }

  private:
    /// The element of b that meets element i of a.
    std::int64_t partner(std::int64_t i) const {
        const Shape& a = input_shape(0);
        const Shape& b = input_shape(1);
        std::int64_t result = 0, stride = 1;
        for (int dimension = a.rank() - 1; dimension >= 0; --dimension) {
            if (b[dimension] > 1) result += i % a[dimension] * stride;
            i /= a[dimension];
            stride *= b[dimension];
        }
        return result;
    }
};

template <typename T>
class DropoutPlan final : public RefPlan<ops::Dropout> {
  public:
    using RefPlan::RefPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const Reader<T> x(arguments.inputs[0]);
        const Writer<T> y(arguments.outputs[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) {
            y.store(i, mode_ == device::Mode::inference ? x[i] : factor(*arguments.step, i) * x[i]);
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const GradientReader<T> dy(arguments.output_gradients[0]);
        const GradientWriter dx(arguments.input_gradients[0]);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) {
            dx.store(i, factor(*arguments.step, i) * dy[i]);
        }
    }

  private:
    double factor(const device::StepState& step, std::int64_t i) const {
        const Shape& shape = output_shape();
        const std::int64_t per_sample = shape.elements() / shape.batch();
        const std::int64_t sample = step.first_sample + i / per_sample;
        const bool keeps =
            op_.kind == ops::DropoutKind::element
                ? formulas::dropout_keeps(step.seed, op_.stream, step.step, sample, per_sample,
                                          i % per_sample, op_.probability)
                : formulas::dropout_keeps(step.seed, op_.stream, step.step, sample, shape.channels(),
                                          i % shape.channels(), op_.probability);
        return keeps ? 1 / (1 - op_.probability) : 0;
    }
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Activation& op, const device::PlanRequest& request) {
    return make_typed<ActivationPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Add& op, const device::PlanRequest& request) {
    return make_typed<AddPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::ScaleGradient& op, const device::PlanRequest& request) {
    return make_typed<ScaleGradientPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Multiply& op, const device::PlanRequest& request) {
    return make_typed<MultiplyPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Dropout& op, const device::PlanRequest& request) {
    return make_typed<DropoutPlan>(op, request);
}

}  // namespace terrane::ref

#include "formulas/class_loss.hpp"
#include "ref/plan.hpp"
#include "ref/upsampled.hpp"

namespace terrane::ref {

namespace {

template <typename T>
class ClassifyPlan final : public RefPlan<ops::Classify> {
  public:
    ClassifyPlan(const ops::Classify& op, const device::PlanRequest& request) : RefPlan(op, request) {
        requirements_.forward_workspace = bytes_of_doubles(input_shape(0).channels());
    }

    void forward(const device::ForwardArguments& arguments) override {
        const std::int64_t classes = input_shape(0).channels();
        const std::int64_t height = output_shape()[1], width = output_shape()[2];
        const Upsampled<T> upsampled(arguments.inputs[0], height, width, op_.corners);
        const auto* labels = arguments.inputs[1].as<std::uint8_t>();
        auto* confusion = arguments.inputs[2].as<std::int64_t>();
        auto* predicted = arguments.outputs[0].as<std::uint8_t>();
        double* logits = doubles(arguments.workspace);
        for (std::int64_t i = 0; i < output_shape().elements(); ++i) {
            upsampled.values(i / (height * width), i / width % height, i % width, logits);
            const std::int64_t best = formulas::most_probable(logits, classes);
            predicted[i] = static_cast<std::uint8_t>(best);
            if (formulas::is_valid_label(labels[i], classes)) confusion[labels[i] * classes + best] += 1;
        }
    }

    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }
};

template <typename T>
class SoftmaxPlan final : public RefPlan<ops::Softmax> {
  public:
    SoftmaxPlan(const ops::Softmax& op, const device::PlanRequest& request) : RefPlan(op, request) {
        requirements_.forward_workspace = bytes_of_doubles(input_shape(0).channels());
    }

    void forward(const device::ForwardArguments& arguments) override {
        const std::int64_t classes = input_shape(0).channels();
        const Upsampled<T> upsampled(arguments.inputs[0], op_.height, op_.width, op_.corners);
        const Writer<float> probabilities(arguments.outputs[0]);
        double* logits = doubles(arguments.workspace);
        for (std::int64_t i = 0; i < output_shape().pixels(); ++i) {
            upsampled.values(i / (op_.height * op_.width), i / op_.width % op_.height, i % op_.width, logits);
            const auto normaliser = formulas::softmax_normaliser(logits, classes);
            for (std::int64_t c = 0; c < classes; ++c) {
                probabilities.store(i * classes + c, normaliser.probability(logits[c]));
            }
        }
    }

    void backward(const device::BackwardArguments&) override { refuse_backward(op_.name); }
};

}  // namespace

std::unique_ptr<device::OpPlan> make(const ops::Classify& op, const device::PlanRequest& request) {
    return make_typed<ClassifyPlan>(op, request);
}
std::unique_ptr<device::OpPlan> make(const ops::Softmax& op, const device::PlanRequest& request) {
    return make_typed<SoftmaxPlan>(op, request);
}

}  // namespace terrane::ref

// Ops that look at one element at a time: activations, sums, dropout.
#include "cuda/plans.hpp"
#include "formulas/activation.hpp"
#include "formulas/dropout.hpp"

namespace terrane::cuda {

namespace {

using ops::ActivationKind;

template <typename T, ActivationKind kind>
struct ActivationForward {
    const T* x;
    T* y;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float values[width];
        load<width>(x, first, values);
        for (float& value : values) value = formulas::activate<kind>(value);
        store<width>(y, first, values);
    }
};

template <typename T, ActivationKind kind>
struct ActivationBackward {
    Terms<T> dy;
    const T* kept;
    T* dx;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float gradients[width], values[width];
        dy.template read<width>(first, gradients);
        load<width>(kept, first, values);
        for (int i = 0; i < width; ++i) gradients[i] *= formulas::activation_slope<kind>(values[i]);
        store<width>(dx, first, gradients);
    }
};

template <typename T>
class ActivationPlan final : public KernelPlan<ops::Activation> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        with_kind([&]<ActivationKind kind>() {
            launch_elements<T>(
                queue_, output_shape().elements(),
                ActivationForward<T, kind>{arguments.inputs[0].as<T>(), arguments.outputs[0].as<T>()});
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& kept =
            op_.backward_needs().inputs != 0 ? arguments.inputs[0] : arguments.outputs[0];
        with_kind([&]<ActivationKind kind>() {
            launch_elements<T>(
                queue_, output_shape().elements(),
                ActivationBackward<T, kind>{terms_of<T>(arguments.output_gradients[0]), kept.as<T>(),
                                            arguments.input_gradients[0].view.as<T>()});
        });
    }

  private:
    template <typename Body>
    void with_kind(Body body) const {
        switch (op_.kind) {
            case ActivationKind::relu:
                return body.template operator()<ActivationKind::relu>();
            case ActivationKind::gelu:
                return body.template operator()<ActivationKind::gelu>();
            case ActivationKind::silu:
                return body.template operator()<ActivationKind::silu>();
            case ActivationKind::sigmoid:
                return body.template operator()<ActivationKind::sigmoid>();
        }
    }
};

constexpr int most_summands = 32;

/// The output may be one of the inputs: every element is read before it is written.
template <typename T>
struct AddForward {
    const T* inputs[most_summands];
    int count;
    T* y;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float sums[width], values[width];
        load<width>(inputs[0], first, sums);
        for (int input = 1; input < count; ++input) {
            load<width>(inputs[input], first, values);
            for (int i = 0; i < width; ++i) sums[i] += values[i];
        }
        store<width>(y, first, sums);
    }
};

template <typename T>
struct PassGradient {
    Terms<T> dy;
    T* dx;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float values[width];
        dy.template read<width>(first, values);
        store<width>(dx, first, values);
    }
};

/// dx = factor * dy, or that added to what is there: gradients of parameters are.
template <typename T>
struct MultiplyGradient {
    Terms<T> dy;
    const float* factor;
    T* dx;
    bool accumulates;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float values[width], kept[width] = {};
        dy.template read<width>(first, values);
        if (accumulates) load<width>(dx, first, kept);
        for (int i = 0; i < width; ++i) values[i] = *factor * values[i] + kept[i];
        store<width>(dx, first, values);
    }
};

template <typename T>
class ScaleGradientPlan final : public KernelPlan<ops::ScaleGradient> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        launch_elements<T>(
            queue_, output_shape().elements(),
            PassGradient<T>{Terms<T>{arguments.inputs[0].as<T>()}, arguments.outputs[0].as<T>()});
    }
    void backward(const device::BackwardArguments& arguments) override {
        const device::GradientTarget& target = arguments.input_gradients[0];
        launch_elements<T>(
            queue_, output_shape().elements(),
            MultiplyGradient<T>{terms_of<T>(arguments.output_gradients[0]), arguments.inputs[1].as<float>(),
                                target.view.as<T>(), target.write == device::GradientWrite::accumulate});
    }
};

template <typename T>
class AddPlan final : public KernelPlan<ops::Add> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        AddForward<T> work{{}, static_cast<int>(arguments.inputs.size()), arguments.outputs[0].as<T>()};
        for (std::size_t i = 0; i < arguments.inputs.size(); ++i)
            work.inputs[i] = arguments.inputs[i].as<T>();
        launch_elements<T>(queue_, output_shape().elements(), work);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        for (const device::GradientTarget& target : arguments.input_gradients) {
            if (!target.view) continue;
            launch_elements<T>(queue_, output_shape().elements(), PassGradient<T>{dy, target.view.as<T>()});
        }
    }
};

/// y = x times the factor drawn for each element (or channel); serves both directions.
template <typename T, typename Source>
struct DropoutPass {
    Source source;
    T* target;
    const device::StepState* step;
    std::uint64_t stream;
    std::int64_t per_sample, channels;
    double probability;
    ops::DropoutKind kind;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float values[width];
        source.template read<width>(first, values);
        const float kept = static_cast<float>(1 / (1 - probability));
        bool keeps[width];
        if (kind == ops::DropoutKind::element) {
            // Samples lie one behind the other, here as in the count of draws.
            formulas::dropout_keeps_each<width>(step->seed, stream, step->step,
                                                step->first_sample * per_sample + first, probability, keeps);
        } else {
            for (int i = 0; i < width; ++i) {
                keeps[i] = formulas::dropout_keeps(step->seed, stream, step->step,
                                                   step->first_sample + (first + i) / per_sample, channels,
                                                   (first + i) % channels, probability);
            }
        }
        for (int i = 0; i < width; ++i) values[i] = keeps[i] ? values[i] * kept : 0.0f;
        store<width>(target, first, values);
    }
};

template <typename T>
class DropoutPlan final : public KernelPlan<ops::Dropout> {
  public:
    using KernelPlan::KernelPlan;

    void forward(const device::ForwardArguments& arguments) override {
        const Terms<T> x{arguments.inputs[0].as<T>()};
        if (mode_ == device::Mode::inference) {
            launch_elements<T>(queue_, output_shape().elements(),
                               PassGradient<T>{x, arguments.outputs[0].as<T>()});
        } else {
            draw(x, arguments.outputs[0], arguments.step);
        }
    }
    void backward(const device::BackwardArguments& arguments) override {
        draw(terms_of<T>(arguments.output_gradients[0]), arguments.input_gradients[0].view, arguments.step);
    }

  private:
    void draw(const Terms<T>& source, const TensorView& target, const device::StepState* step) const {
        const Shape& shape = output_shape();
        launch_elements<T>(
            queue_, shape.elements(),
            DropoutPass<T, Terms<T>>{source, target.as<T>(), step, op_.stream, shape.elements() / shape[0],
                                     shape.channels(), op_.probability, op_.kind});
    }
};

/// y = x + embedding of the position.
template <typename T>
struct PositionalForward {
    const T* x;
    const float* embedding;  ///< of the first position that x holds
    T* y;
    std::int64_t per_sample;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t first) const {
        float values[width];
        load<width>(x, first, values);
        for (int i = 0; i < width; ++i) values[i] += embedding[(first + i) % per_sample];
        store<width>(y, first, values);
    }
};

template <typename T>
struct PositionalGradient {
    Terms<T> dy;
    ParameterGradient target;
    std::int64_t skipped, per_sample, batch;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        double sum = 0;
        for (std::int64_t n = 0; i >= skipped && n < batch; ++n) {
            sum += static_cast<double>(dy[n * per_sample + i - skipped]);
        }
        target.store(i, sum);
    }
};

template <typename T>
class PositionalEmbeddingPlan final : public KernelPlan<ops::PositionalEmbedding> {
  public:
    PositionalEmbeddingPlan(const ops::PositionalEmbedding& op, const device::PlanRequest& request,
                            Queue queue)
        : KernelPlan(op, request, queue),
          skipped_(op.skip * input_shape(0).channels()),
          per_sample_(input_shape(0).elements() / input_shape(0)[0]) {}

    void forward(const device::ForwardArguments& arguments) override {
        launch_elements<T>(
            queue_, output_shape().elements(),
            PositionalForward<T>{arguments.inputs[0].as<T>(), arguments.inputs[1].as<float>() + skipped_,
                                 arguments.outputs[0].as<T>(), per_sample_});
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        if (const TensorView& dx = arguments.input_gradients[0].view; dx) {
            launch_elements<T>(queue_, output_shape().elements(), PassGradient<T>{dy, dx.as<T>()});
        }
        if (const auto target = parameter_gradient(arguments.input_gradients[1]); target) {
            launch(queue_, skipped_ + per_sample_,
                   PositionalGradient<T>{dy, target, skipped_, per_sample_, output_shape()[0]});
        }
    }

  private:
    std::int64_t skipped_, per_sample_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Activation& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<ActivationPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Add& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (request.descriptor.inputs.size() > most_summands) return nullptr;
    return make_typed<AddPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::Dropout& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<DropoutPlan>(op, request, queue);
}
std::unique_ptr<device::OpPlan> make_kernels(const ops::PositionalEmbedding& op,
                                             const device::PlanRequest& request, Queue queue) {
    return make_typed<PositionalEmbeddingPlan>(op, request, queue);
}

std::unique_ptr<device::OpPlan> make_kernels(const ops::ScaleGradient& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<ScaleGradientPlan>(op, request, queue);
}

}  // namespace terrane::cuda

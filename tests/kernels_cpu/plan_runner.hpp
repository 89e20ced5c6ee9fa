#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/philox.hpp"
#include "device/backend.hpp"

namespace terrane::test {

inline double element(const std::byte* data, DType dtype, std::int64_t index) {
    if (dtype == DType::bf16) return static_cast<float>(reinterpret_cast<const bfloat16*>(data)[index]);
    return reinterpret_cast<const float*>(data)[index];
}

inline void set_element(std::byte* data, DType dtype, std::int64_t index, double value) {
    if (dtype == DType::bf16) {
        reinterpret_cast<bfloat16*>(data)[index] = bfloat16(static_cast<float>(value));
    } else {
        reinterpret_cast<float*>(data)[index] = static_cast<float>(value);
    }
}

/// A tensor with its memory.
struct Tensor {
    TensorSpec spec;
    device::Buffer buffer;

    explicit Tensor(const TensorSpec& s) : spec(s), buffer(device::allocate_host(s.bytes())) {}
    TensorView view() const { return {buffer.data(), spec}; }
    double at(std::int64_t index) const { return element(buffer.data(), spec.dtype, index); }
};

enum class Values { small_integers, normal };

/// Integers from -2 to 2, whose products and sums are exact in every type and order, or numbers around zero
/// rounded to bf16 so that every precision starts from the same ones.
inline void fill(Tensor& tensor, std::uint64_t key, Values values, double scale = 1) {
    for (std::int64_t i = 0; i < tensor.spec.shape.elements(); ++i) {
        const auto words = Philox::draw(key, 0, static_cast<std::uint64_t>(i));
        double value = static_cast<double>(static_cast<int>(words[0] % 5) - 2);
        if (values == Values::normal) {
            const double uniform = Philox::uniform(words[0]) + Philox::uniform(words[1]) - 1.0;
            value = static_cast<float>(bfloat16(static_cast<float>(uniform * 2 * scale)));
        }
        set_element(tensor.buffer.data(), tensor.spec.dtype, i, value);
    }
}

/// One op on one backend with all the memory it asks for. The first input is an activation, the others are
/// parameters unless all are activations (matmul); every parameter's gradient is f32.
struct PlanRunner {
    ops::OpDescriptor descriptor;
    std::vector<bool> wanted;
    std::unique_ptr<device::OpPlan> plan;
    std::vector<Tensor> inputs, outputs, output_gradients, input_gradients;
    device::Buffer saved, forward_workspace, backward_workspace, persistent;
    device::GradientWrite write = device::GradientWrite::overwrite;
    device::StepState step;

    PlanRunner(device::Backend& backend, const ops::Op& op, std::vector<TensorSpec> specs,
               device::Mode mode = device::Mode::training, std::vector<bool> gradient_wanted = {})
        : descriptor(ops::describe(op, std::move(specs))), wanted(std::move(gradient_wanted)) {
        if (wanted.empty() && mode == device::Mode::training) wanted.assign(descriptor.inputs.size(), true);
        plan = backend.make_plan({descriptor, mode, wanted});
        for (const TensorSpec& spec : descriptor.inputs) {
            inputs.emplace_back(spec);
            input_gradients.emplace_back(spec);
        }
        for (const TensorSpec& spec : descriptor.outputs) {
            outputs.emplace_back(spec);
            output_gradients.emplace_back(spec);
        }
        const device::Requirements& needs = plan->requirements();
        saved = device::allocate_host(needs.saved + 64);
        forward_workspace = device::allocate_host(needs.forward_workspace + 64);
        backward_workspace = device::allocate_host(needs.backward_workspace + 64);
        persistent = device::allocate_host(needs.persistent + 64);
        prepare();
    }

    void fill_all(Values values) {
        for (std::size_t i = 0; i < inputs.size(); ++i) fill(inputs[i], 100 + i, values);
        for (std::size_t i = 0; i < outputs.size(); ++i) fill(output_gradients[i], 200 + i, values);
    }

    void parameters_changed() { plan->on_parameters_changed(input_views_, persistent.data()); }

    void forward() {
        device::ForwardArguments arguments;
        arguments.inputs = input_views_;
        arguments.outputs = output_views_;
        arguments.saved = saved.data();
        arguments.workspace = forward_workspace.data();
        arguments.persistent = persistent.data();
        arguments.step = &step;
        plan->forward(arguments);
    }

    void backward() {
        for (device::GradientTarget& target : targets_) target.write = write;
        device::BackwardArguments arguments;
        arguments.inputs = input_views_;
        arguments.outputs = output_views_;
        arguments.output_gradients = terms_;
        arguments.input_gradients = targets_;
        arguments.saved = saved.data();
        arguments.workspace = backward_workspace.data();
        arguments.persistent = persistent.data();
        arguments.step = &step;
        plan->backward(arguments);
    }

  private:
    void prepare() {
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            input_views_.push_back(inputs[i].view());
            device::GradientTarget target;
            if (i < wanted.size() && wanted[i]) target.view = input_gradients[i].view();
            targets_.push_back(target);
        }
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            output_views_.push_back(outputs[i].view());
            terms_.push_back({output_gradients[i].view(), TensorView{}});
        }
    }

    std::vector<TensorView> input_views_, output_views_;
    std::vector<device::GradientTerms> terms_;
    std::vector<device::GradientTarget> targets_;
};

/// The largest difference, relative to the root mean square of the expected values; and how many of those are
/// not zero, so that a comparison of zeros is not mistaken for agreement.
struct Difference {
    double relative = 0;
    double share_not_zero = 0;
};

inline Difference difference(const Tensor& actual, const Tensor& expected) {
    const std::int64_t elements = expected.spec.shape.elements();
    double squares = 0, largest = 0;
    std::int64_t not_zero = 0;
    for (std::int64_t i = 0; i < elements; ++i) {
        const double value = expected.at(i);
        squares += value * value;
        not_zero += value != 0;
        const double gap = std::abs(actual.at(i) - value);
        if (!(gap <= largest)) largest = gap;  // not a number counts as different
    }
    const double rms = std::sqrt(squares / static_cast<double>(elements));
    return {largest == 0 ? 0 : largest / (rms > 0 ? rms : 1),
            static_cast<double>(not_zero) / static_cast<double>(elements)};
}

}  // namespace terrane::test

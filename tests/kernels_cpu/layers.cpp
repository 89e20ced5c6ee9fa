#include "cpu/backend.hpp"
#include "kernels_cpu/plan_runner.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

struct LayerCase {
    ops::Op op;
    std::vector<TensorSpec> inputs;  // f32; the activation's type is set by the test
    std::string text;
};

LayerCase convolution(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t in,
                      std::int64_t out, ops::Convolution op, bool bias) {
    std::vector<TensorSpec> inputs{{DType::f32, Shape{batch, height, width, in}},
                                   {DType::f32, Shape{out, op.kernel, op.kernel, in / op.groups}}};
    if (bias) inputs.push_back({DType::f32, Shape{out}});
    return {
        op, inputs,
        fmt::format("convolution {}x{}x{}x{} -> {}, kernel {} stride {} padding {} dilation {} groups {}{}",
                    batch, height, width, in, out, op.kernel, op.stride, op.padding, op.dilation, op.groups,
                    bias ? " bias" : "")};
}

LayerCase transposed(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t in,
                     std::int64_t out, ops::TransposedConvolution op, bool bias) {
    std::vector<TensorSpec> inputs{{DType::f32, Shape{batch, height, width, in}},
                                   {DType::f32, Shape{in, op.kernel, op.kernel, out}}};
    if (bias) inputs.push_back({DType::f32, Shape{out}});
    return {op, inputs,
            fmt::format("transposed convolution {}x{}x{}x{} -> {}, kernel {} stride {} padding {} + {}{}",
                        batch, height, width, in, out, op.kernel, op.stride, op.padding, op.output_padding,
                        bias ? " bias" : "")};
}

LayerCase linear(Shape x, std::int64_t out, bool bias) {
    const std::int64_t in = x.channels();
    std::vector<TensorSpec> inputs{{DType::f32, x}, {DType::f32, Shape{out, in}}};
    if (bias) inputs.push_back({DType::f32, Shape{out}});
    return {ops::Linear{}, inputs, fmt::format("linear {} -> {}{}", x.text(), out, bias ? " bias" : "")};
}

std::vector<LayerCase> cases() {
    using C = ops::Convolution;
    using T = ops::TransposedConvolution;
    return {
        convolution(2, 33, 31, 3, 64, C{.kernel = 7, .stride = 2, .padding = 3}, false),
        convolution(2, 16, 16, 4, 16, C{.kernel = 7, .stride = 2, .padding = 3}, true),
        convolution(2, 17, 16, 1, 24, C{.kernel = 7, .stride = 2, .padding = 3}, false),
        convolution(2, 20, 20, 13, 32, C{.kernel = 3, .stride = 2, .padding = 1}, false),
        convolution(3, 16, 16, 64, 64, C{}, false),
        convolution(2, 16, 15, 64, 128, C{.kernel = 3, .stride = 2, .padding = 1}, false),
        convolution(2, 16, 15, 64, 128, C{.kernel = 1, .stride = 2, .padding = 0}, false),
        convolution(2, 9, 9, 128, 32, C{.kernel = 1, .padding = 0}, true),
        convolution(2, 11, 13, 48, 5, C{.kernel = 1, .padding = 0}, true),
        convolution(2, 11, 13, 17, 19, C{}, true),
        convolution(1, 1, 1, 16, 16, C{}, false),
        convolution(2, 1, 1, 70, 33, C{.kernel = 1, .padding = 0}, true),
        convolution(2, 9, 12, 64, 128, C{.padding = 2, .dilation = 2}, false),
        convolution(2, 10, 9, 128, 64, C{.kernel = 5, .padding = 1}, true),
        convolution(2, 14, 14, 32, 16, C{.padding = 6, .dilation = 6}, false),
        convolution(1, 12, 12, 40, 24, C{.padding = 18, .dilation = 18}, true),
        convolution(2, 12, 12, 32, 32, C{.kernel = 5, .padding = 2}, false),
        convolution(2, 12, 12, 64, 64, C{.groups = 64}, false),
        convolution(2, 12, 12, 30, 30, C{.stride = 2, .groups = 30}, true),
        convolution(2, 12, 12, 30, 30, C{.padding = 2, .dilation = 2, .groups = 30}, false),
        convolution(2, 12, 12, 24, 48, C{.kernel = 5, .stride = 2, .padding = 2, .groups = 24}, false),
        convolution(2, 12, 12, 64, 64, C{.groups = 4}, false),
        convolution(2, 12, 12, 24, 48, C{.groups = 3}, true),
        convolution(2, 12, 12, 10, 15, C{.groups = 5}, true),
        convolution(2, 16, 16, 24, 32, C{.kernel = 4, .stride = 4, .padding = 0}, true),
        convolution(1, 19, 16, 3, 20, C{.kernel = 4, .stride = 4, .padding = 0}, true),
        transposed(2, 7, 9, 32, 16, T{}, true),
        transposed(2, 7, 9, 13, 7, T{}, false),
        transposed(2, 8, 8, 64, 32, T{.kernel = 4, .stride = 2, .padding = 1}, true),
        transposed(1, 5, 6, 16, 16, T{.kernel = 3, .stride = 2, .padding = 1, .output_padding = 1}, false),
        linear({64, 48}, 32, true),
        linear({2, 9, 64}, 100, true),
        linear({1, 7}, 5, false),
        linear({3, 5, 5, 33}, 17, true),
    };
}

/// Runs the case on both backends with the same numbers and compares all results.
void compare(const LayerCase& layer, DType activation, Values values, double tolerance) {
    INFO(layer.text << " " << name_of(activation));
    auto cpu = cpu::make_cpu_backend();
    auto ref = ref::make_ref_backend();
    std::vector<TensorSpec> inputs = layer.inputs;
    inputs[0].dtype = activation;
    PlanRunner fast(*cpu, layer.op, inputs);
    PlanRunner slow(*ref, layer.op, inputs);
    INFO(fast.plan->implementation());
    for (PlanRunner* runner : {&fast, &slow}) {
        runner->fill_all(values);
        runner->parameters_changed();
        runner->forward();
        runner->backward();
    }
    const auto agree = [&](const Tensor& a, const Tensor& b, const char* what) {
        INFO(what);
        const Difference found = difference(a, b);
        CHECK(found.share_not_zero > 0.05);
        CHECK(found.relative <= tolerance);
    };
    agree(fast.outputs[0], slow.outputs[0], "y");
    agree(fast.input_gradients[0], slow.input_gradients[0], "dx");
    agree(fast.input_gradients[1], slow.input_gradients[1], "dw");
    if (inputs.size() > 2) agree(fast.input_gradients[2], slow.input_gradients[2], "db");
    // Accumulation adds the same once more.
    for (PlanRunner* runner : {&fast, &slow}) {
        runner->write = device::GradientWrite::accumulate;
        // Activations' gradients are always overwritten; only parameters see the write mode.
        runner->backward();
    }
    agree(fast.input_gradients[1], slow.input_gradients[1], "dw accumulated");
    if (inputs.size() > 2) agree(fast.input_gradients[2], slow.input_gradients[2], "db accumulated");
}

}  // namespace

TEST_CASE("layers equal the reference exactly on small integers in f32") {
    for (const LayerCase& layer : cases()) compare(layer, DType::f32, Values::small_integers, 0);
}

TEST_CASE("layers are close to the reference on real numbers in f32") {
    for (const LayerCase& layer : cases()) compare(layer, DType::f32, Values::normal, 2e-5);
}

TEST_CASE("layers are close to the reference in bf16") {
    for (const LayerCase& layer : cases()) compare(layer, DType::bf16, Values::normal, 0.03);
}

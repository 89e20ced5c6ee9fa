#include <omp.h>

#include <atomic>

#include "cpu/backend.hpp"
#include "kernels_cpu/plan_runner.hpp"
#include "support/catch.hpp"
#include "support/counted_new.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

std::atomic<std::int64_t> allocated_blocks{0};
std::atomic<std::int64_t> largest_block{0};

std::vector<TensorSpec> layer_inputs(const ops::Op& op, Shape x, Shape w, DType dtype) {
    std::vector<TensorSpec> inputs{{dtype, x}, {DType::f32, w}};
    (void)op;
    return inputs;
}

struct Example {
    ops::Op op;
    Shape x, w;
};

std::vector<Example> examples() {
    using C = ops::Convolution;
    return {
        {C{.kernel = 7, .stride = 2, .padding = 3}, {5, 40, 40, 3}, {64, 7, 7, 3}},
        {C{}, {5, 18, 18, 64}, {64, 3, 3, 64}},
        {C{.kernel = 1, .padding = 0}, {5, 13, 13, 96}, {40, 1, 1, 96}},
        {C{.kernel = 1, .padding = 0}, {5, 3, 3, 512}, {256, 1, 1, 512}},
        {C{}, {5, 4, 4, 512}, {512, 3, 3, 512}},
        {C{.padding = 12, .dilation = 12}, {5, 16, 16, 64}, {32, 3, 3, 64}},
        {C{.groups = 32}, {5, 17, 17, 32}, {32, 3, 3, 1}},
        {ops::TransposedConvolution{}, {5, 9, 9, 32}, {32, 2, 2, 16}},
        {ops::Linear{}, {5, 49, 384}, {192, 384}},
        {ops::Linear{}, {5, 1, 700}, {10, 700}},
    };
}

bool equal_bytes(const std::byte* a, const std::byte* b, std::size_t bytes) {
    return std::memcmp(a, b, bytes) == 0;
}

}  // namespace

void terrane::test::count_allocation(std::size_t bytes, const void*) {
    ++allocated_blocks;
    if (static_cast<std::int64_t>(bytes) > largest_block) largest_block = static_cast<std::int64_t>(bytes);
}

TEST_CASE("a sample's output does not depend on its place in the batch") {
    auto backend = cpu::make_cpu_backend();
    for (const DType dtype : {DType::f32, DType::bf16}) {
        for (const Example& example : examples()) {
            PlanRunner runner(*backend, example.op, layer_inputs(example.op, example.x, example.w, dtype),
                              device::Mode::inference);
            INFO(runner.plan->implementation() << " " << example.x.text() << " " << name_of(dtype));
            runner.fill_all(Values::normal);
            const std::int64_t batch = example.x[0];
            const std::size_t in = runner.inputs[0].spec.bytes() / static_cast<std::size_t>(batch);
            const std::size_t out = runner.outputs[0].spec.bytes() / static_cast<std::size_t>(batch);
            std::byte* x = runner.inputs[0].buffer.data();
            const std::byte* y = runner.outputs[0].buffer.data();
            for (std::int64_t n = 1; n < batch; ++n) std::memcpy(x + static_cast<std::size_t>(n) * in, x, in);
            runner.parameters_changed();
            runner.forward();
            for (std::int64_t n = 1; n < batch; ++n) {
                CHECK(equal_bytes(y, y + static_cast<std::size_t>(n) * out, out));
            }
        }
    }
}

TEST_CASE("a repeated pass gives the same bits") {
    auto backend = cpu::make_cpu_backend();
    for (const DType dtype : {DType::f32, DType::bf16}) {
        for (const Example& example : examples()) {
            PlanRunner first(*backend, example.op, layer_inputs(example.op, example.x, example.w, dtype));
            PlanRunner second(*backend, example.op, layer_inputs(example.op, example.x, example.w, dtype));
            INFO(first.plan->implementation() << " " << example.x.text() << " " << name_of(dtype));
            for (PlanRunner* runner : {&first, &second}) {
                runner->fill_all(Values::normal);
                runner->parameters_changed();
                runner->forward();
                runner->backward();
            }
            // The second time through the same plan, too.
            second.forward();
            second.backward();
            CHECK(equal_bytes(first.outputs[0].buffer.data(), second.outputs[0].buffer.data(),
                              first.outputs[0].spec.bytes()));
            for (std::size_t i = 0; i < 2; ++i) {
                CHECK(equal_bytes(first.input_gradients[i].buffer.data(),
                                  second.input_gradients[i].buffer.data(),
                                  first.input_gradients[i].spec.bytes()));
            }
        }
    }
}

TEST_CASE("a layer with frozen weights or without data gradient touches only what is wanted") {
    auto backend = cpu::make_cpu_backend();
    const Example example = examples()[1];
    for (const std::vector<bool>& wanted : {std::vector<bool>{true, false}, std::vector<bool>{false, true}}) {
        PlanRunner runner(*backend, example.op, layer_inputs(example.op, example.x, example.w, DType::f32),
                          device::Mode::training, wanted);
        runner.fill_all(Values::normal);
        runner.parameters_changed();
        runner.forward();
        runner.backward();
        for (std::size_t i = 0; i < 2; ++i) {
            const Tensor zeros(runner.input_gradients[i].spec);
            const Difference found = difference(zeros, runner.input_gradients[i]);
            CHECK((found.share_not_zero > 0.9) == wanted[i]);
            CHECK((found.share_not_zero == 0) == !wanted[i]);
        }
    }
}

TEST_CASE("a plan runs with the threads it was made for, whichever thread calls it") {
    auto backend = cpu::make_cpu_backend();
    const int threads = omp_get_max_threads();
    const Example example = examples()[1];
    PlanRunner runner(*backend, example.op, layer_inputs(example.op, example.x, example.w, DType::f32));
    runner.fill_all(Values::normal);
    runner.parameters_changed();
    runner.forward();
    std::vector<std::byte> before(runner.outputs[0].buffer.data(),
                                  runner.outputs[0].buffer.data() + runner.outputs[0].spec.bytes());
    omp_set_num_threads(threads + 1);
    runner.forward();
    CHECK(omp_get_max_threads() == threads);
    CHECK(equal_bytes(before.data(), runner.outputs[0].buffer.data(), before.size()));
}

TEST_CASE("a run allocates no memory that grows with the tensors") {
    // The library builds a few hash nodes for the arguments of every call; nothing of ours, nothing large.
    auto backend = cpu::make_cpu_backend();
    for (const DType dtype : {DType::f32, DType::bf16}) {
        for (const Example& example : examples()) {
            PlanRunner runner(*backend, example.op, layer_inputs(example.op, example.x, example.w, dtype));
            runner.fill_all(Values::normal);
            for (int warm_up = 0; warm_up < 2; ++warm_up) {
                runner.parameters_changed();
                runner.forward();
                runner.backward();
            }
            allocated_blocks = 0;
            largest_block = 0;
            runner.forward();
            runner.backward();
            const std::int64_t blocks = allocated_blocks, largest = largest_block;
            INFO(runner.plan->implementation() << " " << example.x.text());
            CHECK(largest <= 512);
            CHECK(blocks <= 160);  // up to eight calls where layouts have to be changed
        }
    }
}

TEST_CASE("what nothing accepts is refused with every candidate's reason") {
    auto backend = cpu::make_cpu_backend();
    const ops::OpDescriptor descriptor =
        ops::describe(ops::Convolution{}, {{DType::f64, Shape{1, 8, 8, 4}}, {DType::f32, Shape{4, 3, 3, 4}}});
    try {
        backend->make_plan({descriptor, device::Mode::inference, {}});
        FAIL("a plan for f64");
    } catch (const Error& error) {
        CHECK(error.number() == 720);
        CHECK(error.message().find("dnnl: activations are f32 or bf16, not f64") != std::string::npos);
    }
}

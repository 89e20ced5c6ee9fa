// Training in fp16, on the reference backend: the CPU backend does not compute in it.
#include <cmath>

#include "support/catch.hpp"
#include "train/network_setup.hpp"
#include "training_fixture.hpp"

using namespace terrane;
using test::Run;

namespace {

config::Config half(std::int64_t steps) {
    config::Config config = test::small_config();
    config.train.precision = "fp16";
    config.train.steps = steps;
    config.eval.every = 0;
    return config;
}

}  // namespace

TEST_CASE("in fp16 a step's loss and gradient are those of fp32 within its rounding") {
    test::TemporaryFolder halves, floats;
    Run in_half, in_single;
    in_half.train(half(1), halves.path());
    config::Config single = half(1);
    single.train.precision = "fp32";
    in_single.train(single, floats.path());
    const train::StepReport &a = in_half.recorder.steps.at(0), &b = in_single.recorder.steps.at(0);
    CHECK(in_half.recorder.skips.empty());
    CHECK(a.loss == Approx(b.loss).epsilon(1e-2));
    CHECK(a.loss != b.loss);
    CHECK(a.gradient_norm == Approx(b.gradient_norm).epsilon(3e-2));
}

TEST_CASE("an overflow in fp16 halves the loss scale; the next steps divide by the new one") {
    test::TemporaryFolder disturbed, plain;
    Run scaled, unscaled;
    {
        const test::Faults faults("nan_gradient@step=1");
        scaled.train(half(2), disturbed.path());
    }
    REQUIRE(scaled.recorder.skips.size() == 1);
    CHECK(scaled.recorder.skips[0].overflow);
    CHECK(scaled.recorder.skips[0].loss_scale == 0.5);
    // The second step meets fresh weights with gradients half as large; its report is of unscaled ones.
    const double norm = scaled.recorder.steps.at(1).gradient_norm;
    config::Config single = half(2);
    single.train.precision = "fp32";
    {
        const test::Faults faults("nan_gradient@step=1");
        unscaled.train(single, plain.path());
    }
    CHECK_FALSE(unscaled.recorder.skips.at(0).overflow);
    CHECK(norm == Approx(unscaled.recorder.steps.at(1).gradient_norm).epsilon(3e-2));
}

TEST_CASE("a run in fp16 goes on with the loss scale of its checkpoint, bit for bit") {
    test::TemporaryFolder through, parts;
    const char* const fault = "nan_gradient@step=1";
    Run whole, first, second;
    {
        const test::Faults faults(fault);
        whole.train(half(4), through.path());
    }
    first.stop_at = 2;
    {
        const test::Faults faults(fault);
        first.train(half(4), parts.path());
    }
    second.train(half(4), parts.path());
    CHECK(second.recorder.steps.size() == 2);
    CHECK((second.model == whole.model));
}

TEST_CASE("a backend that does not compute in the precision is refused before any work") {
    struct Narrow final : device::Backend {
        std::string name() const override { return "narrow"; }
        std::string description() const override { return "f32 and bf16 only"; }
        device::Buffer allocate(std::size_t bytes) override { return device::allocate_host(bytes); }
        std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest&) override { return nullptr; }
        void set_float32_products(device::Float32Products products) override { kept = products; }
        device::FlatKernels& flat_kernels() override { throw InternalError("unused"); }
        device::SampleKernels& sample_kernels() override { throw InternalError("unused"); }
        void copy_to_device(std::byte*, const std::byte*, std::size_t) override {}
        void copy_to_host(std::byte*, const std::byte*, std::size_t) override {}
        void copy_on_device(std::byte*, const std::byte*, std::size_t) override {}
        void synchronise() override {}
        device::Float32Products kept = device::Float32Products::exact;
    } backend;
    try {
        train::enter_precision(backend, "fp16");
        FAIL("fp16 was taken");
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::device_unavailable);
        CHECK_THAT(error.message(), test::contains("narrow backend can't run networks in fp16"));
    }
    train::enter_precision(backend, "tf32");
    CHECK(backend.kept == device::Float32Products::tf32);
    train::enter_precision(backend, "bf16");
    CHECK(backend.kept == device::Float32Products::exact);
}

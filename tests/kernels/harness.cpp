// The harness itself: each kind of fault that the kernel tests exist for must be reported.
#include <cmath>
#include <cstdlib>
#include <functional>

#include "kernels/compare.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

using Fault = std::function<void(const device::ForwardArguments&)>;

/// A reference plan that misbehaves after its forward pass.
class FaultyPlan final : public device::OpPlan {
  public:
    FaultyPlan(std::unique_ptr<device::OpPlan> inner, Fault fault)
        : inner_(std::move(inner)), fault_(std::move(fault)) {
        requirements_ = inner_->requirements();
    }
    std::string implementation() const override { return "faulty"; }
    void forward(const device::ForwardArguments& arguments) override {
        inner_->forward(arguments);
        fault_(arguments);
    }
    void backward(const device::BackwardArguments& arguments) override { inner_->backward(arguments); }

  private:
    std::unique_ptr<device::OpPlan> inner_;
    Fault fault_;
};

class FaultyBackend final : public device::Backend {
  public:
    explicit FaultyBackend(Fault fault) : fault_(std::move(fault)) {}
    std::string name() const override { return "faulty"; }
    std::string description() const override { return name(); }
    device::Buffer allocate(std::size_t bytes) override { return inner_->allocate(bytes); }
    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        return std::make_unique<FaultyPlan>(inner_->make_plan(request), fault_);
    }
    device::FlatKernels& flat_kernels() override { return inner_->flat_kernels(); }
    device::SampleKernels& sample_kernels() override { return inner_->sample_kernels(); }
    void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) override {
        inner_->copy_to_device(device, host, bytes);
    }
    void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) override {
        inner_->copy_on_device(to, from, bytes);
    }
    void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) override {
        inner_->copy_to_host(host, device, bytes);
    }
    void synchronise() override {}

  private:
    std::unique_ptr<device::Backend> inner_ = ref::make_ref_backend();
    Fault fault_;
};

std::string complaints(Fault fault) {
    const OpCase one{"faulty linear", ops::Linear{}, {activation({4, 5}), parameter({3, 5})}};
    RunOptions options;
    FaultyBackend backend(std::move(fault));
    RunOptions oracle_options = options;
    oracle_options.compute = DType::f64;
    const RunResult oracle = run_case(*ref::make_ref_backend(), one, oracle_options);
    return differences(one, run_case(backend, one, options), oracle, tolerance_for(one, DType::f32));
}

}  // namespace

TEST_CASE("the harness finds no fault in the reference", "[harness]") {
    CHECK(complaints([](const device::ForwardArguments&) {}).empty());
}

TEST_CASE("the harness reports wrong, missing and misplaced writes", "[harness]") {
    using Arguments = device::ForwardArguments;
    const auto wrong = [](const Arguments& a) { a.outputs[0].as<float>()[2] *= 1.0001f; };
    const auto missing = [](const Arguments& a) { a.outputs[0].as<float>()[1] = std::nanf(""); };
    const auto zero = [](const Arguments& a) {
        for (float& value : a.outputs[0].span<float>()) value = 0;
    };
    const auto behind = [](const Arguments& a) { a.outputs[0].data[a.outputs[0].bytes()] = std::byte{0}; };
    const auto before = [](const Arguments& a) { a.outputs[0].data[-1] = std::byte{0}; };
    const auto input = [](const Arguments& a) { a.inputs[0].as<float>()[0] += 1; };
    CHECK(complaints(wrong).find("output 0: 1 of 12 elements differ") != std::string::npos);
    CHECK(complaints(missing).find("output 0: 1 of 12 elements differ") != std::string::npos);
    CHECK(complaints(zero).find("mostly zero") != std::string::npos);
    CHECK(complaints(behind).find("beside the buffer") != std::string::npos);
    CHECK(complaints(before).find("beside the buffer") != std::string::npos);
    CHECK(complaints(input).find("input 0 was changed") != std::string::npos);
}

TEST_CASE("TERRANE_CASE selects a case by its name, or a family by its beginning", "[harness]") {
    const char* given = std::getenv("TERRANE_CASE");
    const std::string before = given == nullptr ? "" : given;
    ::setenv("TERRANE_CASE", "batch norm*", 1);  // what bench/gpu.py runs below compute-sanitizer
    const std::vector<OpCase> family = selected_cases();
    CHECK(family.size() > 1);
    for (const OpCase& one : family) CHECK(one.name.starts_with("batch norm "));
    ::setenv("TERRANE_CASE", family.back().name.c_str(), 1);
    CHECK(selected_cases().size() == 1);
    ::setenv("TERRANE_CASE", "batch_norm", 1);
    CHECK_THROWS_AS(selected_cases(), InternalError);
    if (given == nullptr) {
        ::unsetenv("TERRANE_CASE");
    } else {
        ::setenv("TERRANE_CASE", before.c_str(), 1);
    }
}

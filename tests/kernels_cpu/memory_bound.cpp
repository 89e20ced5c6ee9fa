#include <omp.h>

#include <cmath>
#include <cstring>

#include "cpu/backend.hpp"
#include "cpu/isa.hpp"
#include "kernels/run_case.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

/// One case per family of loops, large enough to be shared among threads, odd in every size.
std::vector<OpCase> large_cases() {
    const Shape map{3, 41, 37, 19}, wide{2, 21, 23, 130}, channels{19}, wide_channels{130};
    const auto batch_norm = [](const Shape& x, ops::Residual residual) {
        const Shape c{x.channels()};
        std::vector<CaseInput> inputs{activation(x, Fill::far_from_zero), parameter(c, Fill::scale),
                                      parameter(c), state(c), state(c, Fill::positive)};
        if (residual == ops::Residual::yes) inputs.push_back(activation(x));
        return OpCase{"batch norm", ops::BatchNorm{.rectify = ops::Rectify::yes, .residual = residual},
                      inputs};
    };
    const std::vector<CaseInput> classes{activation({2, 17, 19, 7}), labels({2, 68, 76}),
                                         state({7}, Fill::class_weights)};
    return {
        batch_norm(map, ops::Residual::no),
        batch_norm(wide, ops::Residual::yes),
        {"group norm",
         ops::GroupNorm{.groups = 10, .rectify = ops::Rectify::yes},
         {activation(wide), parameter(wide_channels, Fill::scale), parameter(wide_channels)}},
        {"layer norm",
         ops::LayerNorm{},
         {activation(wide), parameter(wide_channels), parameter(wide_channels)}},
        {"gelu", ops::Activation{ops::ActivationKind::gelu}, {activation(map)}},
        {"silu", ops::Activation{ops::ActivationKind::silu}, {activation(map)}},
        {"sum of three", ops::Add{}, {activation(map), activation(map), activation(map)}},
        {"gate per channel", ops::Multiply{}, {activation(map), activation({3, 1, 1, 19})}},
        {"gate per pixel", ops::Multiply{}, {activation(wide), activation({2, 21, 23, 1})}},
        {"gate per sample", ops::Multiply{}, {activation(map), activation({3, 1, 1, 1})}},
        {"gated sum",
         ops::GatedSum{},
         {activation(wide), activation(wide), activation(wide), activation({2, 21, 23, 3}),
          state({2, 3}, Fill::presence)}},
        {"maximum pool", ops::Pool{}, {activation(wide)}},
        {"average pool", ops::Pool{.kind = ops::PoolKind::average}, {activation(wide)}},
        {"global pool", ops::AdaptivePool{1, 1}, {activation(wide)}},
        {"adaptive pool", ops::AdaptivePool{6, 5}, {activation(wide)}},
        {"resize", ops::Resize{63, 70}, {activation(wide)}},
        {"dropout", ops::Dropout{.probability = 0.3, .stream = 5}, {activation(map)}},
        {"concat", ops::Concat{}, {activation(map), activation(map)}},
        {"slice", ops::Slice{3, 11}, {activation(map)}},
        {"cross-entropy", ops::CrossEntropy{.label_smoothing = 0.1}, classes},
        {"dice", ops::Dice{}, classes},
        {"dice over images", ops::Dice{.over = ops::ScoreOver::image}, classes},
        {"focal", ops::Focal{}, classes},
        {"tversky", ops::Tversky{.exponent = 1.5}, classes},
        {"lovasz", ops::Lovasz{}, classes},
        {"boundary", ops::Boundary{}, classes},
        {"classify", ops::Classify{}, {classes[0], classes[1], {Role::confusion, Shape{7, 7}}}},
        {"softmax", ops::Softmax{68, 76}, {classes[0]}},
    };
}

/// Bit patterns, so that -0 differs from 0 and NaN equals itself.
bool equal_bits(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (a[i].size() != b[i].size()) return false;
        if (!a[i].empty() && std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(double)) != 0)
            return false;
    }
    return true;
}

void require_equal(const RunResult& a, const RunResult& b, const std::string& what) {
    INFO(what);
    CHECK(equal_bits(a.outputs, b.outputs));
    CHECK(equal_bits(a.states, b.states));
    CHECK(equal_bits(a.gradients, b.gradients));
}

RunOptions options_for(const OpCase& one, DType dtype) {
    RunOptions options;
    options.compute = options.rounded_as = dtype;
    if (!one.has_backward()) options.mode = device::Mode::inference;
    return options;
}

/// Sets the number of threads for one scope.
class Threads {
  public:
    explicit Threads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
    ~Threads() { omp_set_num_threads(before_); }
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;

  private:
    int before_;
};

/// Limits the instruction set for one scope.
class Limited {
  public:
    explicit Limited(cpu::Isa isa) { cpu::limit_isa(isa); }
    ~Limited() { cpu::limit_isa(cpu::Isa::avx512); }
    Limited(const Limited&) = delete;
    Limited& operator=(const Limited&) = delete;
};

RunResult run(const OpCase& one, DType dtype) {
    return run_case(*cpu::make_cpu_backend(), one, options_for(one, dtype));
}

}  // namespace

TEST_CASE("memory-bound ops give the same bits on any number of threads") {
    for (const DType dtype : {DType::f32, DType::bf16}) {
        for (const OpCase& one : large_cases()) {
            const RunResult alone = [&] {
                const Threads threads(1);
                return run(one, dtype);
            }();
            CHECK(alone.complaint.empty());
            for (const int count : {2, 5}) {
                const Threads threads(count);
                require_equal(alone, run(one, dtype), one.name + " on " + std::to_string(count) + " threads");
            }
        }
    }
}

TEST_CASE("memory-bound ops give the same bits on every instruction set") {
    for (const DType dtype : {DType::f32, DType::bf16}) {
        for (const OpCase& one : large_cases()) {
            const RunResult best = run(one, dtype);
            for (const cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::avx2}) {
                const Limited limited(isa);
                require_equal(best, run(one, dtype), one.name + " for " + cpu::name_of(cpu::isa()));
            }
        }
    }
}

TEST_CASE("batch norm keeps a spread of a hundred-thousandth of the mean") {
    const Shape shape{4, 23, 31, 5};
    const OpCase one{"far",
                     ops::BatchNorm{},
                     {activation(shape), parameter({5}, Fill::scale), parameter({5}), state({5}),
                      state({5}, Fill::positive)}};
    RunOptions options;
    auto inputs = case_inputs(one, options);
    const auto spread = standard_values(shape.elements(), Values::reals, DType::f32, 3, 1);
    for (std::size_t i = 0; i < inputs[0].size(); ++i) {
        inputs[0][i] = static_cast<float>(1000.0 + 0.01 * spread[i]);
    }
    const RunResult result = run_case(*cpu::make_cpu_backend(), one, options, inputs);
    for (std::size_t c = 0; c < 5; ++c) {
        double mean = 0, variance = 0, count = 0;
        for (std::size_t i = c; i < inputs[0].size(); i += 5) mean += inputs[0][i], count += 1;
        mean /= count;
        for (std::size_t i = c; i < inputs[0].size(); i += 5) {
            variance += (inputs[0][i] - mean) * (inputs[0][i] - mean) / count;
        }
        for (std::size_t i = c; i < inputs[0].size(); i += 5) {
            const double expected =
                inputs[1][c] * (inputs[0][i] - mean) / std::sqrt(variance + 1e-5) + inputs[2][c];
            REQUIRE(std::abs(result.outputs[0][i] - expected) < 2e-5 * (1 + std::abs(expected)));
        }
    }
}

TEST_CASE("a sample's result does not depend on its place in the batch") {
    for (const OpCase& original : large_cases()) {
        if (original.is_loss() || original.name == "dropout") continue;
        OpCase one = original;
        RunOptions options;
        options.mode = device::Mode::inference;
        auto inputs = case_inputs(one, options);
        // Samples in reverse order must give the outputs in reverse order.
        const std::int64_t batch = one.inputs[0].shape[0];
        const auto reversed = [&](const std::vector<double>& values) {
            const auto part = static_cast<std::ptrdiff_t>(values.size()) / batch;
            std::vector<double> result;
            for (std::int64_t n = batch - 1; n >= 0; --n) {
                result.insert(result.end(), values.begin() + n * part, values.begin() + (n + 1) * part);
            }
            return result;
        };
        const auto backend = cpu::make_cpu_backend();
        const RunResult straight = run_case(*backend, one, options, inputs);
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const Role role = one.inputs[i].role;
            const bool per_sample =
                role == Role::activation || role == Role::labels || one.inputs[i].fill == Fill::presence;
            if (per_sample) inputs[i] = reversed(inputs[i]);
        }
        const RunResult turned = run_case(*backend, one, options, inputs);
        INFO(one.name);
        CHECK(equal_bits({reversed(straight.outputs[0])}, {turned.outputs[0]}));
    }
}

// Any backend against the reference in double, over the whole case table.
#include <cstdio>
#include <cstdlib>

#include "kernels/candidate.hpp"
#include "kernels/compare.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

std::uint64_t first_seed() {
    const char* given = std::getenv("TERRANE_SEED");
    return given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
}

/// The same numbers, computed in double.
RunResult oracle_for(const OpCase& one, RunOptions options) {
    static const std::unique_ptr<device::Backend> reference = ref::make_ref_backend();
    options.compute = DType::f64;
    return run_case(*reference, one, options);
}

RunOptions options_for(DType compute, Values values) {
    RunOptions options;
    options.compute = options.rounded_as = compute;
    options.values = values;
    options.seed = first_seed();
    return options;
}

/// Runs the candidate, compares it with what `oracle` gives and reports either failure with a reproducer.
template <typename Oracle>
void require_agreement(device::Backend& backend, const OpCase& one, const RunOptions& options,
                       const Tolerance& tolerance, Oracle oracle) {
    INFO(reproducer(one, options));
    try {
        const RunResult candidate = run_case(backend, one, options);
        const std::string wrong = differences(one, candidate, oracle(), tolerance);
        INFO("implementation " << candidate.implementation);
        if (!wrong.empty()) FAIL_CHECK(one.name << ": " << wrong);
    } catch (const std::exception& error) {
        FAIL_CHECK(one.name << ": " << error.what());
    }
}

void require_agreement(device::Backend& backend, const OpCase& one, const RunOptions& options,
                       const Tolerance& tolerance) {
    require_agreement(backend, one, options, tolerance, [&] { return oracle_for(one, options); });
}

template <typename Check>
void for_each_case(Check check) {
    const auto backend = make_candidate();
    int checked = 0;
    for (const OpCase& one : selected_cases()) {
        for (const DType compute : candidate_types()) {
            check(*backend, one, compute);
            ++checked;
        }
    }
    CHECK(checked > 0);
}

}  // namespace

// For who runs each case in a process of its own, as bench/gpu.py does.
TEST_CASE("names of the op cases", "[.names]") {
    for (const OpCase& one : selected_cases()) std::printf("case: %s\n", one.name.c_str());
}

TEST_CASE("small integers give exactly the reference's results where the arithmetic allows", "[cases]") {
    for_each_case([](device::Backend& backend, const OpCase& one, DType compute) {
        if (one.exact == Exact::no) return;
        require_agreement(backend, one, options_for(compute, Values::integers), {});
    });
}

TEST_CASE("real numbers give the reference's results within rounding", "[cases]") {
    for_each_case([](device::Backend& backend, const OpCase& one, DType compute) {
        // Which class wins a near tie is decided by rounding: only exact arithmetic can be compared.
        if (std::holds_alternative<ops::Classify>(one.op)) return;
        RunOptions options = options_for(compute, Values::reals);
        for (int repeat = 0; repeat < 2; ++repeat, ++options.seed) {
            require_agreement(backend, one, options, tolerance_for(one, compute));
        }
    });
}

TEST_CASE("inference gives the reference's results", "[cases]") {
    for_each_case([](device::Backend& backend, const OpCase& one, DType compute) {
        RunOptions options = options_for(compute, one.exact == Exact::yes ? Values::integers : Values::reals);
        options.mode = device::Mode::inference;
        require_agreement(backend, one, options,
                          one.exact == Exact::yes ? Tolerance{} : tolerance_for(one, compute));
    });
}

TEST_CASE("each gradient alone is what it is with all others", "[cases]") {
    for_each_case([](device::Backend& backend, const OpCase& one, DType compute) {
        for (std::size_t i = 0; i < one.inputs.size(); ++i) {
            const Role role = one.inputs[i].role;
            if (!one.has_backward() || (role != Role::activation && role != Role::parameter)) continue;
            RunOptions options = options_for(compute, Values::reals);
            options.wanted.assign(one.inputs.size(), false);
            options.wanted[i] = true;
            require_agreement(backend, one, options, tolerance_for(one, compute));
        }
    });
}

TEST_CASE("gradients of parameters are added to what was there", "[cases]") {
    for_each_case([](device::Backend& backend, const OpCase& one, DType compute) {
        RunOptions options = options_for(compute, one.exact == Exact::yes ? Values::integers : Values::reals);
        options.parameter_write = device::GradientWrite::accumulate;
        require_agreement(backend, one, options,
                          one.exact == Exact::yes ? Tolerance{} : tolerance_for(one, compute));
    });
}

TEST_CASE("running twice gives equal bits", "[cases]") {
    for_each_case([](device::Backend& backend, const OpCase& one, DType compute) {
        const RunOptions options = options_for(compute, Values::reals);
        require_agreement(backend, one, options, {}, [&] { return run_case(backend, one, options); });
    });
}

TEST_CASE("two ranks with half the samples each give what one rank gives", "[cases]") {
    for_each_case([](device::Backend& backend, const OpCase& one, DType compute) {
        if (one.inputs[0].shape[0] % 2 != 0) return;
        const auto* norm = std::get_if<ops::BatchNorm>(&one.op);
        const auto* discrepancy = std::get_if<ops::KernelDiscrepancy>(&one.op);
        const bool alone =
            discrepancy != nullptr && discrepancy->scope == ops::KernelDiscrepancy::Scope::rank;
        const bool shares = (one.is_loss() && !alone) || std::holds_alternative<ops::Dropout>(one.op) ||
                            std::holds_alternative<ops::Attention>(one.op) ||
                            std::holds_alternative<ops::PositionalEmbedding>(one.op) ||
                            (norm != nullptr && norm->scope == ops::NormScope::synchronised);
        if (!shares) return;
        RunOptions options = options_for(compute, Values::reals);
        const RunResult oracle = oracle_for(one, options);
        options.ranks = 2;
        require_agreement(backend, one, options, tolerance_for(one, compute), [&] { return oracle; });
    });
}

// What against_reference.cpp can't see in the CUDA kernels' threads run on the host: whether their order
// matters.
#include "cuda/team.hpp"
#include "kernels/candidate.hpp"
#include "kernels/compare.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

RunResult in_order(const OpCase& one, const RunOptions& options, bool descending) {
    cuda::host_threads_descend = descending;
    RunResult result = run_case(*make_candidate(), one, options);
    cuda::host_threads_descend = false;
    return result;
}

}  // namespace

TEST_CASE("threads that run from the last to the first give equal bits: no barrier is missing", "[cuda]") {
    int compared = 0;
    for (const OpCase& one : selected_cases()) {
        for (const DType compute : candidate_types()) {
            RunOptions options;
            options.compute = options.rounded_as = compute;
            INFO(reproducer(one, options));
            const std::string wrong =
                differences(one, in_order(one, options, true), in_order(one, options, false), {});
            if (!wrong.empty()) FAIL_CHECK(one.name << ": " << wrong);
            ++compared;
        }
    }
    CHECK(compared > 0);
}

TEST_CASE("a kernel without a barrier is noticed", "[cuda]") {
    // Each thread reads what its neighbour writes in the same body.
    struct Shared {
        int values[cuda::warp_threads] = {};
    };
    const auto last = [](bool descending) {
        cuda::host_threads_descend = descending;
        Shared shared;
        cuda::Team<cuda::warp_threads, Shared> team{shared};
        team.each(
            [&](int thread) { shared.values[thread] = 1 + (thread > 0 ? shared.values[thread - 1] : 0); });
        cuda::host_threads_descend = false;
        return shared.values[cuda::warp_threads - 1];
    };
    CHECK(last(false) != last(true));
}

// The CPU backend's results are the same for every number of threads, with one exception that is oneDNN's:
// its weight gradients of convolutions split the batch among the threads and add the parts up. Those repeat
// bit for bit only under the same number of threads (against_reference.cpp checks that).
#include <omp.h>

#include "kernels/candidate.hpp"
#include "kernels/compare.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

/// The plan is made under the same number of threads that runs it, as in a process of its own.
RunResult with_threads(int threads, const OpCase& one, const RunOptions& options) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    RunResult result = run_case(*make_candidate(), one, options);
    omp_set_num_threads(before);
    return result;
}

bool splits_weight_gradient(const OpCase& one) {
    return std::holds_alternative<ops::Convolution>(one.op) ||
           std::holds_alternative<ops::TransposedConvolution>(one.op);
}

}  // namespace

TEST_CASE("one, two and five threads give equal bits, but for oneDNN's weight gradients", "[cases]") {
    int compared = 0;
    for (const OpCase& one : selected_cases()) {
        RunOptions options;
        if (splits_weight_gradient(one)) {
            options.wanted.assign(one.inputs.size(), false);
            options.wanted[0] = true;
        }
        const RunResult single = with_threads(1, one, options);
        for (const int threads : {2, 5}) {
            INFO(reproducer(one, options) << ", " << threads << " threads");
            const std::string wrong = differences(one, with_threads(threads, one, options), single, {});
            if (!wrong.empty()) FAIL_CHECK(one.name << " [" << single.implementation << "]: " << wrong);
            ++compared;
        }
    }
    CHECK(compared > 0);
}

#pragma once

#include <string>

#include "kernels/run_case.hpp"

namespace terrane::test {

/// How far a candidate may be from the oracle.
struct Tolerance {
    double relative_to_largest = 0;  ///< of the largest magnitude in the tensor; 0: equal
};

/// From the element type's precision and the longest sum the case can contain. Rounding errors of n additions
/// grow like sqrt(n) for numbers of random sign.
Tolerance tolerance_for(const OpCase& one, DType compute);

/// Everything about `candidate` that disagrees with `oracle`, or that can't be trusted; empty if all is well.
std::string differences(const OpCase& one, const RunResult& candidate, const RunResult& oracle,
                        const Tolerance& tolerance);

/// The command that repeats a failure.
std::string reproducer(const OpCase& one, const RunOptions& options);

}  // namespace terrane::test

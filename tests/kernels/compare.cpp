#include "kernels/compare.hpp"

#include <algorithm>
#include <cmath>

namespace terrane::test {

namespace {

/// Both are compared as numbers of `dtype`, the candidate's element type: what is exact in double is rounded
/// once.
std::string tensor_difference(const std::string& what, DType dtype, const std::vector<double>& candidate,
                              const std::vector<double>& oracle, const Tolerance& tolerance) {
    if (candidate.size() != oracle.size()) {
        return fmt::format("{}: {} elements against {}; ", what, candidate.size(), oracle.size());
    }
    double largest = 0;
    for (const double value : oracle) largest = std::max(largest, std::abs(value));
    const double allowed = tolerance.relative_to_largest * largest;
    std::size_t wrong = 0, worst = 0;
    double worst_error = -1;
    for (std::size_t i = 0; i < oracle.size(); ++i) {
        const double error = std::abs(candidate[i] - rounded(oracle[i], dtype));
        if (error <= allowed) continue;  // a NaN falls through
        ++wrong;
        if (!(error <= worst_error)) {
            worst_error = error;
            worst = i;
        }
    }
    if (wrong == 0) return {};
    return fmt::format("{}: {} of {} elements differ, most [{}] = {} against {} (allowed {:.3g}); ", what,
                       wrong, oracle.size(), worst, candidate[worst], oracle[worst], allowed);
}

bool mostly_zero(const std::vector<double>& values) {
    const auto zeros = std::count(values.begin(), values.end(), 0.0);
    return values.size() >= 4 && zeros * 4 > static_cast<std::ptrdiff_t>(values.size()) * 3;
}

}  // namespace

Tolerance tolerance_for(const OpCase& one, DType compute) {
    double terms = 1;
    for (const CaseInput& input : one.inputs) {
        terms = std::max(terms, static_cast<double>(input.shape.elements()));
    }
    const double sum_error = (16 + 4 * std::sqrt(terms)) * 0x1p-24;
    if (compute == DType::f64) return {sum_error * 0x1p-28 * one.conditioning};
    // Inputs, weights and results carry 8 bits in bf16 and 11 in f16; sums run in f32.
    const double storage_error = compute == DType::bf16  ? 6 * 0x1p-9
                                 : compute == DType::f16 ? 6 * 0x1p-12
                                                         : 0;
    return {(sum_error + storage_error) * one.conditioning};
}

std::string differences(const OpCase& one, const RunResult& candidate, const RunResult& oracle,
                        const Tolerance& tolerance) {
    std::string result = candidate.complaint;
    const auto compare = [&](const std::string& what, const auto& types, const auto& candidates,
                             const auto& oracles) {
        for (std::size_t i = 0; i < oracles.size(); ++i) {
            result += tensor_difference(fmt::format("{} {}", what, i), types[i], candidates[i], oracles[i],
                                        tolerance);
        }
    };
    compare("output", candidate.output_types, candidate.outputs, oracle.outputs);
    compare("state", candidate.input_types, candidate.states, oracle.states);
    compare("gradient", candidate.input_types, candidate.gradients, oracle.gradients);
    if (one.zeros == Zeros::expected) return result;
    for (const auto* tensors : {&candidate.outputs, &candidate.gradients}) {
        for (const auto& values : *tensors) {
            if (mostly_zero(values)) result += "a result is mostly zero: mistrusted; ";
        }
    }
    return result;
}

std::string reproducer(const OpCase& one, const RunOptions& options) {
    return fmt::format(
        "reproduce: TERRANE_CASE='{}' TERRANE_SEED={} <this test> [cases]   (compute {}, {}, {})", one.name,
        options.seed, name_of(options.compute), options.values == Values::integers ? "integers" : "reals",
        options.mode == device::Mode::training ? "training" : "inference");
}

}  // namespace terrane::test

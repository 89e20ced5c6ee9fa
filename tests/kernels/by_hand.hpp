#pragma once

#include <optional>
#include <vector>

#include "kernels/run_case.hpp"
#include "ref/backend.hpp"

namespace terrane::test {

/// An input with its numbers.
struct Given {
    CaseInput input;
    std::vector<double> values;
};

/// Asks for the gradients of a loss, above which there is nothing.
inline const std::optional<std::vector<double>> with_gradients = std::vector<double>();

/// Runs the reference in double on given numbers; the gradient from above is `upstream` (absent: inference).
inline RunResult reference(const ops::Op& op, const std::vector<Given>& given,
                           const std::optional<std::vector<double>>& upstream = {}) {
    OpCase one{.name = "by hand", .op = op, .inputs = {}};
    std::vector<std::vector<double>> values;
    for (const Given& each : given) {
        one.inputs.push_back(each.input);
        values.push_back(each.values);
    }
    RunOptions options;
    options.compute = options.rounded_as = DType::f64;
    options.mode = upstream ? device::Mode::training : device::Mode::inference;
    if (upstream) options.upstream = *upstream;
    return run_case(*ref::make_ref_backend(), one, options, values);
}

/// Whether all numbers are within 1e-6 of the expected ones (the softmax op answers in f32).
inline bool equal(const std::vector<double>& values, const std::vector<double>& expected) {
    bool same = values.size() == expected.size();
    for (std::size_t i = 0; same && i < values.size(); ++i) {
        same = values[i] - expected[i] < 1e-6 && expected[i] - values[i] < 1e-6;
    }
    return same;
}

}  // namespace terrane::test

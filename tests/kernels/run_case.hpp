#pragma once

#include <string>
#include <vector>

#include "device/backend.hpp"
#include "kernels/case_data.hpp"

namespace terrane::test {

/// One way to run a case.
struct RunOptions {
    DType compute = DType::f32;  ///< type of activations; parameters are f32, or f64 if this is f64
    DType rounded_as =
        DType::f32;  ///< what all numbers are representable in: equal data for oracle and candidate
    Values values = Values::reals;
    std::uint64_t seed = 1;
    device::Mode mode = device::Mode::training;
    std::vector<bool> wanted;  ///< gradients; empty: of all differentiable inputs, in training
    device::GradientWrite parameter_write = device::GradientWrite::overwrite;
    std::vector<double> upstream;  ///< the gradient from above; empty: two random terms
    int ranks = 1;                 ///< simulated ranks, each with its share of the samples and its own plan
};

/// Everything a run produced, as numbers. With several ranks outputs and activation gradients are joined
/// along the samples, losses and parameter gradients added, states taken from the first rank.
struct RunResult {
    std::vector<std::vector<double>> outputs;
    std::vector<std::vector<double>> states;       ///< per input; empty where nothing may be written
    std::vector<std::vector<double>> gradients;    ///< per input; empty where not wanted
    std::vector<DType> output_types, input_types;  ///< as stored by the backend
    std::string implementation;
    std::string complaint;  ///< canaries overwritten, inputs changed, ranks of different opinion; empty: none
};

/// The values of all inputs of a case under the options.
std::vector<std::vector<double>> case_inputs(const OpCase& one, const RunOptions& options);

/// Runs forward and, in training, backward. Throws what make_plan throws.
RunResult run_case(device::Backend& backend, const OpCase& one, const RunOptions& options);
/// With the given inputs in place of the case's own.
RunResult run_case(device::Backend& backend, const OpCase& one, const RunOptions& options,
                   const std::vector<std::vector<double>>& inputs);

/// The gradient that comes from above for output 0: the sum of both terms.
std::vector<double> upstream_gradient(const OpCase& one, const RunOptions& options);

}  // namespace terrane::test

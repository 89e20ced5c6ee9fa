#pragma once

#include <string>
#include <vector>

#include "device/backend.hpp"
#include "graph/recompute.hpp"
#include "nets/network.hpp"

namespace terrane::bench {

/// A training step to be timed: random inputs, forward, loss, backward and the AdamW update, on one rank. For
/// pkdiff that is a whole mini-batch: all passes of the recursion, each with its update.
struct StepOptions {
    config::Model model;
    config::Loss loss;
    std::vector<std::string> freeze;  ///< optim.freeze
    nets::NetworkInputs inputs;
    DType compute = DType::f32;
    int warm_up = 3;
    int steps = 10;
    graph::Recompute recompute = graph::Recompute::none;
    bool per_node = false;  ///< also time every node (adds a clock reading per node)
    std::size_t budget = ~std::size_t{0};  ///< bytes that the step may take
};

struct NodeSeconds {
    std::string name;
    std::string op;
    std::string implementation;
    double forward = 0;  ///< seconds per step
    double backward = 0;
};

struct StepResult {
    std::vector<double> seconds;  ///< of each step after the warm-up
    std::int64_t updates = 1;     ///< of the optimizer within a step
    double loss = 0;              ///< of the last update: proof that it trained on something
    double forward_flops = 0;     ///< of all passes of a step
    std::size_t arena_bytes =
        0;  ///< of all programs: activations, gradients of activations, saved, workspace
    std::size_t planned_bytes = 0;  ///< parameters, gradients, moments, states, packed weights, inputs, arena
    /// From before planning: growth of the process's peak resident memory, or of what is taken of a device's
    /// own memory at the end (a step allocates nothing, so that is the peak).
    std::size_t measured_bytes = 0;
    device::WorkCounts work{};  ///< of all timed steps together
    std::vector<NodeSeconds> nodes;
};

/// Throws Error E0751 (69), with what is planned and the largest batch that fits, before it allocates anything
/// if the step would take more than `options.budget`.
StepResult measure_step(device::Backend& backend, const StepOptions& options);

/// One network with and without recomputed blocks, one after the other; both results as in step_json, and the
/// ratios.
std::string compare_recompute(device::Backend& backend, StepOptions options, const std::string& command);

/// The result with options and machine as a JSON text; `command` is what the user typed.
std::string step_json(const device::Backend& backend, const StepOptions& options, const StepResult& result,
                      const std::string& command);

}  // namespace terrane::bench

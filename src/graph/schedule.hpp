#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "device/backend.hpp"
#include "graph/graph.hpp"
#include "graph/recompute.hpp"

namespace terrane::graph {

/// A gradient of an activation as one tensor of its own. A value read by several nodes has one term per
/// reader.
struct GradientTensor {
    ValueId of;
    int first_step = -1;
    int last_step = -1;
};

struct ForwardStep {
    int node = 0;
    device::Phase phase = device::Phase::whole;
    enum class Run { first, again } run = Run::first;  ///< again: see graph/recompute.hpp
};

/// Sums a node's exchange buffer over the ranks.
struct ExchangeStep {
    int node = 0;
    enum class Direction { forward, backward } direction = Direction::forward;
};

struct BackwardStep {
    int node = 0;
    device::Phase phase = device::Phase::whole;
    /// Per output: positions in Schedule::gradients, -1 for none.
    std::vector<std::array<int, 2>> output_terms;
    /// Per input: where its gradient goes: a gradient tensor, or the parameter's slice of G, or nowhere.
    struct Target {
        int gradient = -1;
        ValueId parameter;
        device::GradientWrite write = device::GradientWrite::overwrite;
    };
    std::vector<Target> input_targets;
};

/// Adds gradient terms into the first of them, where a producer can't read as many terms as there are
/// readers.
struct SumTermsStep {
    std::vector<int> terms;
    std::unique_ptr<device::OpPlan> plan;
};

/// Starts the all-reduce of a slice of G whose gradients are complete.
struct StartBucketStep {
    std::int64_t offset = 0;
    std::int64_t length = 0;
};

using Step = std::variant<ForwardStep, ExchangeStep, BackwardStep, SumTermsStep, StartBucketStep>;

/// The program as a flat list: all forward steps in graph order, then backward in reverse, with the
/// collectives in between and each block's second forward run before its backward. `plans[i]` belongs to node
/// i.
struct Schedule {
    std::vector<std::unique_ptr<device::OpPlan>> plans;
    std::vector<Step> steps;
    std::vector<GradientTensor> gradients;
    std::vector<std::vector<bool>> gradient_wanted;  ///< per node, per input
    Recomputation recomputation;
};

/// Makes every node's plan and orders all work. Autodiff happens here: a node gets a backward step only if it
/// lies between a trainable parameter and a loss. `bucket_elements`: least elements of G per all-reduce.
Schedule make_schedule(const Graph& graph, device::Backend& backend, std::int64_t bucket_elements,
                       Recompute recompute = Recompute::none);

}  // namespace terrane::graph

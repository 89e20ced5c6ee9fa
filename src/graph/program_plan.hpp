#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "graph/arena.hpp"
#include "graph/schedule.hpp"

namespace terrane::graph {

/// Extra care with memory for debug builds and tests: a guard zone behind every arena block, checked after
/// every step, and an arena filled with NaN before each run, so that reading what was never written shows.
enum class MemoryChecks { off, guards };

struct PlanOptions {
    std::int64_t bucket_bytes = 4 << 20;  ///< least size of a gradient bucket
    MemoryChecks checks = MemoryChecks::off;
    Recompute recompute = Recompute::none;
};

/// Where everything is before anything is allocated: what `inspect` prints and Program allocates.
struct ProgramPlan {
    Graph graph;
    Schedule schedule;

    /// What a block of the arena holds.
    enum class Holds {
        activation,
        gradient,
        saved,
        forward_workspace,
        backward_workspace,
        exchange,
        sum_workspace,
        // Of what runs again: the blocks above are then for the first run alone.
        recomputed_activation,
        recomputed_saved,
        recomputed_workspace,
        recomputed_states,  ///< throw-away copies of the states that the op writes
    };
    struct Block {
        Holds holds = Holds::activation;
        int index = -1;  ///< value, gradient, node or step, as `holds` says
        Lifetime lifetime;
        std::size_t offset = 0;
    };
    std::vector<Block> blocks;
    ArenaPlan arena;

    std::vector<std::size_t> input_offsets;  ///< per graph value that is an input, in the input buffer
    std::size_t input_bytes = 0;
    std::vector<std::size_t> persistent_offsets;  ///< per node
    std::size_t persistent_bytes = 0;
    std::size_t guard_bytes = 0;

    /// Bytes this program needs beside the ParameterStore and the optimizer.
    std::size_t bytes() const { return arena.bytes + input_bytes + persistent_bytes; }
};

/// The inputs of a node that it updates in a training pass: the running statistics of batch norm.
std::vector<ValueId> updated_states(const Graph& graph, const Node& node);

ProgramPlan plan_program(Graph graph, device::Backend& backend, const PlanOptions& options = {});

}  // namespace terrane::graph

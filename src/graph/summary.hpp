#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "graph/parameter_store.hpp"
#include "graph/program_plan.hpp"

namespace terrane::graph {

/// One node of a planned network as `inspect` shows it.
struct LayerRow {
    std::string name;
    std::string op;
    std::string implementation;
    Shape output;
    std::int64_t parameters = 0;
    double flops = 0;  ///< forward; a multiply-add counts as two
};
std::vector<LayerRow> layer_rows(const ProgramPlan& plan);

/// Forward arithmetic of the whole network.
double forward_flops(const ProgramPlan& plan);

/// Arithmetic of the nodes that run a second time (graph/recompute.hpp).
double recomputed_flops(const ProgramPlan& plan);

/// What one training program needs, per rank.
struct MemoryTable {
    std::size_t parameters = 0;
    std::size_t gradients = 0;
    std::size_t optimizer = 0;  ///< moment buffers, each as large as G
    std::size_t states = 0;
    std::size_t packed = 0;  ///< the plans' packed weights
    std::size_t inputs = 0;
    std::size_t arena = 0;        ///< activations, gradients of activations, saved, workspace
    std::size_t arena_bound = 0;  ///< most bytes alive at once: no arena can be smaller

    std::size_t total() const {
        return parameters + gradients + optimizer + states + packed + inputs + arena;
    }
};
/// `moment_buffers`: 1 for SGD with momentum, 2 for Adam and AdamW, 1 more for a moving average of the
/// weights, 0 for inference.
MemoryTable memory_table(const ProgramPlan& plan, int moment_buffers);

/// Sizes in bytes of the gradient buckets, in the order in which they are reduced.
std::vector<std::size_t> bucket_bytes(const ProgramPlan& plan);

/// The largest batch whose total stays within the budget, by doubling and bisection; 0 if not even one sample
/// fits. `plan_for` plans the network for a batch; nothing is allocated. Batches above `limit` are not tried.
std::int64_t largest_batch(const std::function<std::size_t(std::int64_t batch)>& bytes_for,
                           std::size_t budget, std::int64_t limit = 1024);

}  // namespace terrane::graph

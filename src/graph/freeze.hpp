#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace terrane::graph {

/// What dropout does in a part that can't learn.
enum class FrozenDropout {
    off,  ///< the part gives the same output for the same input
    on,   ///< as the rest of the network
};

/// Excludes the parameters that `is_frozen` picks by name from training: no gradients, no optimizer state, no
/// buckets. Batch norms whose scale or shift is frozen read their running statistics and leave them, also
/// behind something that is trained: their plans are made for inference although gradients are wanted, which
/// flow through them with the statistics as constants, dx = scale * inverse_std * dz. Nodes that
/// depend on no trainable parameter any more run as in inference, with dropout off unless asked for. To be
/// called on a finished training graph, before it is planned and before its ParameterStore is made. Returns
/// the names, in the graph's order.
std::vector<std::string> freeze(Graph& graph, const std::function<bool(const std::string& name)>& is_frozen,
                                FrozenDropout dropout);

/// Likewise for parameters that no loss depends on: they would be decayed and never moved otherwise.
std::vector<std::string> exclude_unused(Graph& graph);

/// Whether an op drops out in training.
bool draws_random_numbers(const ops::Op& op);

/// How many numbers of a graph are trained.
struct TrainableCount {
    std::int64_t trainable = 0;
    std::int64_t frozen = 0;
};
TrainableCount count_trainable(const Graph& graph);

}  // namespace terrane::graph

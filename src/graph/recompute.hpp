#pragma once

#include <vector>

#include "graph/graph.hpp"

namespace terrane::graph {

/// Activation checkpointing: whether activations inside a block (GraphBuilder::block) are kept from forward
/// to backward or computed again.
enum class Recompute { none, blocks };

/// train.recompute. Throws Error E0511 (78) for another word.
Recompute recompute_from_name(const std::string& name);

/// What a program forgets and does twice. A value inside a block that backward needs is dropped unless
/// something outside the block reads it (so blocks' results are always kept) or it is dear: more than
/// `dearest` operations per element, where computing it again would cost more time than its bytes are worth.
/// The nodes that lead to dropped values run again right before the first backward step of the block, in
/// their order.
///
/// Equal bits: a node run again reads the same bits and the same random numbers (dropout is keyed by step and
/// sample). Batch norm's running statistics are updated by the first run only: the second writes to a
/// throw-away copy. What an op exchanged between ranks in its first run is kept, so nothing is sent twice.
struct Recomputation {
    static constexpr double dearest = 32768;

    std::vector<bool> values;  ///< per value: dropped after the forward pass
    std::vector<bool> nodes;   ///< per node: runs again

    bool drops(ValueId id) const { return values[static_cast<std::size_t>(id.index)]; }
    bool repeats(int node) const { return nodes[static_cast<std::size_t>(node)]; }
};

/// `gradient_wanted`: per node and input, as in Schedule.
Recomputation plan_recomputation(const Graph& graph, Recompute recompute,
                                 const std::vector<std::vector<bool>>& gradient_wanted);

}  // namespace terrane::graph

#pragma once

#include <string>
#include <vector>

#include "graph/graph.hpp"

namespace terrane::graph {

/// A training graph in two parts: what gives equal numbers for equal inputs as long as the run lasts, and the
/// rest, which learns from them.
struct FrozenSplit {
    Graph constant;  ///< for inference; its outputs are `features`
    Graph rest;      ///< for training; reads the features as inputs of their names
    /// The values that are handed over, in the graph's order: what the constant part computes from frozen
    /// parameters and the rest reads.
    std::vector<std::string> features;
};

/// Cuts a graph after graph::freeze(). A node belongs to the constant part if it depends on frozen parameters
/// but on none that is trained, on no random draw (dropout that is on), on no label and on no state that
/// training changes. Nodes without any parameter before them (inputs resized and joined) are in both parts if
/// both read them. Both parts keep all inputs, so that what fills them need not know of the cut, and the
/// rest keeps the parameters it trains in their order: gradients lie where they lay.
///
/// Without a frozen parameter before a trained one there are no features, and the constant part is empty.
FrozenSplit split_at_frozen(const Graph& graph);

}  // namespace terrane::graph

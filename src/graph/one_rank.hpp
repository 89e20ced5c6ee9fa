#pragma once

#include "graph/graph.hpp"

namespace terrane::graph {

/// For programs of one rank alone: batch norms that would exchange their sums take those of this rank, which
/// are the same numbers, without stopping in the middle of a pass. To be called before the graph is planned.
void leave_out_exchange(Graph& graph);

}  // namespace terrane::graph

#include "graph/one_rank.hpp"

namespace terrane::graph {

void leave_out_exchange(Graph& graph) {
    for (Node& node : graph.nodes) {
        if (auto* norm = std::get_if<ops::BatchNorm>(&node.op)) norm->scope = ops::NormScope::local;
    }
}

}  // namespace terrane::graph

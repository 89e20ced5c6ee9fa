#include "graph/recompute.hpp"

#include <algorithm>

namespace terrane::graph {

namespace {

bool any_of(const std::vector<bool>& flags) {
    return std::find(flags.begin(), flags.end(), true) != flags.end();
}

/// Values that only nodes of their own block read and that are cheap enough to be computed twice.
std::vector<bool> droppable_values(const Graph& graph) {
    std::vector<bool> droppable(graph.values.size(), false);
    for (const Node& node : graph.nodes) {
        if (node.block < 0) continue;
        const double flops = ops::cost_of(graph.descriptor(node)).flops;
        for (const ValueId id : node.outputs) {
            const auto elements = static_cast<double>(graph.value(id).spec.shape.elements());
            droppable[static_cast<std::size_t>(id.index)] = flops <= Recomputation::dearest * elements;
        }
    }
    const auto keep = [&](ValueId id) { droppable[static_cast<std::size_t>(id.index)] = false; };
    for (const Node& node : graph.nodes) {
        for (const ValueId id : node.inputs) {
            const int producer = graph.value(id).producer;
            if (producer >= 0 && graph.nodes[static_cast<std::size_t>(producer)].block != node.block)
                keep(id);
        }
    }
    for (const auto& [name, id] : graph.outputs) keep(id);
    for (const ValueId id : graph.losses) keep(id);
    return droppable;
}

}  // namespace

Recompute recompute_from_name(const std::string& name) {
    if (name == "none") return Recompute::none;
    if (name == "blocks") return Recompute::blocks;
    throw Error(ExitCode::config_invalid, 511, fmt::format("train.recompute \"{}\" is unknown.", name),
                "Choose none or blocks.");
}

Recomputation plan_recomputation(const Graph& graph, Recompute recompute,
                                 const std::vector<std::vector<bool>>& gradient_wanted) {
    Recomputation result{std::vector<bool>(graph.values.size(), false),
                         std::vector<bool>(graph.nodes.size(), false)};
    if (recompute == Recompute::none || graph.mode == device::Mode::inference) return result;

    const std::vector<bool> droppable = droppable_values(graph);
    const auto drop = [&](ValueId id) {
        const auto i = static_cast<std::size_t>(id.index);
        if (droppable[i]) result.values[i] = true;
    };
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
        if (!any_of(gradient_wanted[n])) continue;
        const Node& node = graph.nodes[n];
        const ops::BackwardNeeds needs = ops::backward_needs_of(node.op);
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            if ((needs.inputs >> i & 1u) != 0) drop(node.inputs[i]);
        }
        for (std::size_t i = 0; i < node.outputs.size(); ++i) {
            if ((needs.outputs >> i & 1u) != 0) drop(node.outputs[i]);
        }
    }
    // From the last node to the first: what is computed again needs its inputs, too.
    for (std::size_t n = graph.nodes.size(); n-- > 0;) {
        const Node& node = graph.nodes[n];
        result.nodes[n] = std::any_of(node.outputs.begin(), node.outputs.end(),
                                      [&](ValueId id) { return result.drops(id); });
        if (!result.nodes[n]) continue;
        for (const ValueId id : node.inputs) drop(id);
    }
    return result;
}

}  // namespace terrane::graph

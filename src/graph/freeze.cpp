#include "graph/freeze.hpp"

namespace terrane::graph {

namespace {

std::size_t position(ValueId id) {
    return static_cast<std::size_t>(id.index);
}

/// Scale or shift of a batch norm.
bool has_frozen_scale(const Graph& graph, const Node& node) {
    return graph.value(node.inputs[1]).trainable == Trainable::no ||
           graph.value(node.inputs[2]).trainable == Trainable::no;
}

/// Decides for every node whether anything trainable lies before it and sets the mode of those that have
/// parameters before them but no trainable one.
void set_modes(Graph& graph, FrozenDropout dropout) {
    std::vector<bool> learns(graph.values.size(), false), has_parameters(graph.values.size(), false);
    for (std::size_t i = 0; i < graph.values.size(); ++i) {
        learns[i] = graph.values[i].trainable == Trainable::yes;
        has_parameters[i] = graph.values[i].kind == ValueKind::parameter;
    }
    for (Node& node : graph.nodes) {
        bool node_learns = false, node_has_parameters = false;
        for (const ValueId id : node.inputs) {
            node_learns = node_learns || learns[position(id)];
            node_has_parameters = node_has_parameters || has_parameters[position(id)];
        }
        for (const ValueId id : node.outputs) {
            learns[position(id)] = node_learns;
            has_parameters[position(id)] = node_has_parameters;
        }
        const bool frozen = node_has_parameters && !node_learns;
        const bool keeps_dropping = dropout == FrozenDropout::on && draws_random_numbers(node.op);
        if (frozen && !keeps_dropping) node.mode = device::Mode::inference;
        if (std::holds_alternative<ops::BatchNorm>(node.op) && has_frozen_scale(graph, node))
            node.mode = device::Mode::inference;
    }
}

}  // namespace

bool draws_random_numbers(const ops::Op& op) {
    const auto* attention = std::get_if<ops::Attention>(&op);
    return std::holds_alternative<ops::Dropout>(op) || (attention != nullptr && attention->dropout > 0);
}

std::vector<std::string> freeze(Graph& graph, const std::function<bool(const std::string&)>& is_frozen,
                                FrozenDropout dropout) {
    TERRANE_ASSERT(graph.mode == device::Mode::training, "only training graphs have anything to freeze");
    std::vector<std::string> names;
    for (Value& value : graph.values) {
        if (value.trainable == Trainable::no || !is_frozen(value.name)) continue;
        value.trainable = Trainable::no;
        names.push_back(value.name);
    }
    if (!names.empty()) set_modes(graph, dropout);
    return names;
}

std::vector<std::string> exclude_unused(Graph& graph) {
    std::vector<bool> used(graph.values.size(), false);
    for (const ValueId id : graph.losses) used[position(id)] = true;
    for (std::size_t n = graph.nodes.size(); n-- > 0;) {
        const Node& node = graph.nodes[n];
        bool any = false;
        for (const ValueId id : node.outputs) any = any || used[position(id)];
        if (!any) continue;
        for (const ValueId id : node.inputs) used[position(id)] = true;
    }
    std::vector<std::string> names;
    for (std::size_t i = 0; i < graph.values.size(); ++i) {
        Value& value = graph.values[i];
        if (value.trainable == Trainable::no || used[i]) continue;
        value.trainable = Trainable::no;
        names.push_back(value.name);
    }
    return names;
}

TrainableCount count_trainable(const Graph& graph) {
    TrainableCount count;
    for (const Value& value : graph.values) {
        if (value.kind != ValueKind::parameter) continue;
        (value.trainable == Trainable::yes ? count.trainable : count.frozen) += value.spec.shape.elements();
    }
    return count;
}

}  // namespace terrane::graph

#include "graph/split.hpp"

#include <algorithm>

#include "graph/freeze.hpp"

namespace terrane::graph {

namespace {

std::size_t position(ValueId id) {
    return static_cast<std::size_t>(id.index);
}

/// Per value of a graph.
struct Kinds {
    std::vector<bool> constant;  ///< equal inputs give equal numbers throughout training
    std::vector<bool> feature;   ///< constant, and computed from parameters

    explicit Kinds(const Graph& graph)
        : constant(graph.values.size(), false), feature(graph.values.size(), false) {
        std::vector<bool> has_parameters(graph.values.size(), false);
        for (std::size_t i = 0; i < graph.values.size(); ++i) {
            const Value& value = graph.values[i];
            has_parameters[i] = value.kind == ValueKind::parameter;
            constant[i] = (value.kind == ValueKind::input && value.spec.dtype != DType::u8) ||
                          (value.kind == ValueKind::parameter && value.trainable == Trainable::no) ||
                          (value.kind == ValueKind::state && value.saved == Saved::yes);
        }
        for (const Node& node : graph.nodes) {
            bool all = changes_no_state(node) && !draws(node), any = false;
            for (const ValueId id : node.inputs) {
                all = all && constant[position(id)];
                any = any || has_parameters[position(id)];
            }
            for (const ValueId id : node.outputs) {
                constant[position(id)] = all;
                has_parameters[position(id)] = any;
                feature[position(id)] = all && any;
            }
        }
    }

  private:
    static bool draws(const Node& node) {
        return node.mode != device::Mode::inference && draws_random_numbers(node.op);
    }
    static bool changes_no_state(const Node& node) {
        return !std::holds_alternative<ops::BatchNorm>(node.op) || node.mode == device::Mode::inference;
    }
};

/// Copies parts of a graph into a new one.
class PartBuilder {
  public:
    PartBuilder(const Graph& whole, device::Mode mode) : whole_(whole), copied_(whole.values.size()) {
        part_.mode = mode;
    }

    ValueId value(ValueId id) {
        ValueId& copy = copied_[position(id)];
        if (copy.index < 0) copy = add(whole_.value(id));
        return copy;
    }
    /// The value as an input from outside.
    void input(ValueId id) {
        Value value = whole_.value(id);
        value.kind = ValueKind::input;
        value.producer = -1;
        copied_[position(id)] = add(std::move(value));
    }
    void node(const Node& original) {
        Node node = original;
        for (ValueId& id : node.inputs) id = value(id);
        for (ValueId& id : node.outputs) {
            id = value(id);
            part_.values[position(id)].producer = static_cast<int>(part_.nodes.size());
        }
        part_.nodes.push_back(std::move(node));
    }
    Graph& graph() { return part_; }

  private:
    ValueId add(Value value) {
        part_.values.push_back(std::move(value));
        return {static_cast<int>(part_.values.size()) - 1};
    }

    const Graph& whole_;
    Graph part_;
    std::vector<ValueId> copied_;
};

/// Which nodes are needed for what is wanted; `wanted` grows by what they read. Nodes that `stop` holds for
/// are left out with all before them.
template <typename Stop>
std::vector<bool> nodes_towards(const Graph& graph, std::vector<bool> wanted, Stop stop) {
    std::vector<bool> nodes(graph.nodes.size(), false);
    for (std::size_t n = graph.nodes.size(); n-- > 0;) {
        const Node& node = graph.nodes[n];
        if (stop(node)) continue;
        for (const ValueId id : node.outputs) nodes[n] = nodes[n] || wanted[position(id)];
        if (!nodes[n]) continue;
        for (const ValueId id : node.inputs) wanted[position(id)] = true;
    }
    return nodes;
}

/// Parameters, states and inputs in the order of the whole graph, then the chosen nodes.
void copy(PartBuilder& part, const Graph& graph, const std::vector<bool>& nodes) {
    std::vector<bool> read(graph.values.size(), false);
    for (std::size_t n = 0; n < nodes.size(); ++n) {
        if (!nodes[n]) continue;
        for (const ValueId id : graph.nodes[n].inputs) read[position(id)] = true;
    }
    for (std::size_t i = 0; i < graph.values.size(); ++i) {
        const ValueId id{static_cast<int>(i)};
        const ValueKind kind = graph.values[i].kind;
        if (kind == ValueKind::input || (kind != ValueKind::activation && read[i])) part.value(id);
    }
    for (std::size_t n = 0; n < nodes.size(); ++n) {
        if (nodes[n]) part.node(graph.nodes[n]);
    }
}

}  // namespace

FrozenSplit split_at_frozen(const Graph& graph) {
    TERRANE_ASSERT(graph.mode == device::Mode::training, "only training graphs have a frozen part");
    const Kinds kinds(graph);
    const auto is_feature = [&](const Node& node) { return kinds.feature[position(node.outputs[0])]; };

    std::vector<bool> handed_over(graph.values.size(), false);
    const auto hand_over = [&](ValueId id) {
        if (kinds.feature[position(id)]) handed_over[position(id)] = true;
    };
    for (const Node& node : graph.nodes) {
        if (is_feature(node)) continue;
        for (const ValueId id : node.inputs) hand_over(id);
    }
    for (const auto& [name, id] : graph.outputs) hand_over(id);

    FrozenSplit split;
    PartBuilder constant(graph, device::Mode::inference);
    copy(constant, graph, nodes_towards(graph, handed_over, [](const Node&) { return false; }));
    PartBuilder rest(graph, device::Mode::training);
    std::vector<bool> wanted(graph.values.size(), false);
    for (const ValueId id : graph.losses) wanted[position(id)] = true;
    for (const auto& [name, id] : graph.outputs) wanted[position(id)] = true;
    for (std::size_t i = 0; i < graph.values.size(); ++i) {
        if (!handed_over[i]) continue;
        const ValueId id{static_cast<int>(i)};
        split.features.push_back(graph.values[i].name);
        constant.graph().outputs.emplace_back(graph.values[i].name, constant.value(id));
        rest.input(id);
    }
    copy(rest, graph, nodes_towards(graph, wanted, is_feature));
    for (const auto& [name, id] : graph.outputs) rest.graph().outputs.emplace_back(name, rest.value(id));
    for (const ValueId id : graph.losses) rest.graph().losses.push_back(rest.value(id));
    split.constant = std::move(constant.graph());
    split.rest = std::move(rest.graph());
    return split;
}

}  // namespace terrane::graph

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/op_plan.hpp"
#include "graph/initializer.hpp"
#include "ops/op.hpp"

namespace terrane::graph {

/// Position of a value in Graph::values.
struct ValueId {
    int index = -1;
    bool operator==(const ValueId&) const = default;
};

enum class ValueKind {
    input,       ///< filled from outside before each run
    parameter,   ///< trained or frozen; lives in the ParameterStore
    state,       ///< not trained but kept: running statistics, class weights, confusion matrix
    activation,  ///< produced by a node; lives in the arena
};

/// Whether a parameter gets a gradient; whether a state belongs into checkpoints.
enum class Trainable { no, yes };
enum class Saved { no, yes };

struct Value {
    std::string name;
    TensorSpec spec;
    ValueKind kind = ValueKind::activation;
    int producer = -1;  ///< node index of an activation
    Trainable trainable = Trainable::no;
    Saved saved = Saved::no;
    Initializer initializer = Constant{};
};

struct Node {
    std::string name;
    ops::Op op;
    std::vector<ValueId> inputs;
    std::vector<ValueId> outputs;
    int block = -1;  ///< block of recomputation it belongs to (graph/recompute.hpp), -1: none
    std::optional<device::Mode> mode =
        {};  ///< how the node runs where that is not the graph's mode: graph/freeze.hpp
};

/// A network as a static graph: nodes in an order in which every input is produced before it is read.
/// Made by GraphBuilder, turned into something that runs by plan_program() and Program.
struct Graph {
    device::Mode mode = device::Mode::training;
    std::vector<Value> values;
    std::vector<Node> nodes;
    std::vector<std::pair<std::string, ValueId>> outputs;  ///< values that stay readable after a run
    std::vector<ValueId> losses;                           ///< f64 [2] values that gradients start from

    const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id.index)]; }
    /// The op with the specs it is applied to.
    ops::OpDescriptor descriptor(const Node& node) const;
};

/// Trainable parameters in the order in which a backward pass completes their gradients (last layers first),
/// then the frozen ones. A pure function of the graph: buckets of the flat gradient buffer become contiguous
/// slices.
std::vector<ValueId> parameters_by_completion(const Graph& graph);

}  // namespace terrane::graph

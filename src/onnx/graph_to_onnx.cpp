#include "onnx/graph_to_onnx.hpp"

#include "onnx/node_writer.hpp"

namespace terrane::onnx {

void graph_to_onnx(const graph::Graph& graph, const Numbers& numbers, OnnxModel& model) {
    NodeWriter writer(graph, numbers, model);
    for (std::size_t i = 0; i < graph.values.size(); ++i) {
        const graph::Value& value = graph.values[i];
        if (value.kind == graph::ValueKind::input) {
            model.input(value.name, onnx_sizes(value.spec.shape));
            writer.name_value({static_cast<int>(i)}, value.name);
        }
    }
    // An output's name must not be taken by the node that computes it.
    for (const auto& [name, value] : graph.outputs) model.fresh(name);
    for (const graph::Node& node : graph.nodes) writer.write(node);
    for (const auto& [name, value] : graph.outputs) {
        model.output(name, onnx_sizes(graph.value(value).spec.shape));
        model.rename(writer.name_of(value), name);
    }
}

}  // namespace terrane::onnx

#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.hpp"
#include "onnx/graph_to_onnx.hpp"

namespace terrane::onnx {

/// Sizes as ONNX has them: channels second in maps.
OnnxModel::Sizes onnx_sizes(const Shape& shape);

/// Writes one node of a graph after the other as the ONNX nodes that compute the same.
class NodeWriter {
  public:
    NodeWriter(const graph::Graph& graph, const Numbers& numbers, OnnxModel& model)
        : graph_(graph), numbers_(numbers), model_(model) {}

    void name_value(graph::ValueId id, const std::string& name) { names_[id.index] = name; }
    const std::string& name_of(graph::ValueId id) const;
    void write(const graph::Node& node);

  private:
    /// The node being written: what its inputs are called and measure.
    struct Call {
        const graph::Node& node;
        std::string name;

        Call(const graph::Node& written) : node(written), name(written.name) {}
    };
    using Names = std::vector<std::string>;

    const Shape& shape(const Call& call, std::size_t input) const {
        return graph_.value(call.node.inputs[input]).spec.shape;
    }
    const Shape& result(const Call& call) const { return graph_.value(call.node.outputs[0]).spec.shape; }
    const std::string& in(const Call& call, std::size_t input) const {
        return name_of(call.node.inputs[input]);
    }
    std::vector<float> numbers(const Call& call, std::size_t input) const;
    /// A parameter as a constant of its own shape.
    std::string constant(const Call& call, std::size_t input);
    /// A four-dimensional weight with its last dimension moved to the second place.
    std::string kernel(const Call& call, std::size_t input);
    std::string scalar(const std::string& wish, double value);
    std::string transposed(const std::string& wish, const std::string& x, const OnnxModel::Sizes& order);
    std::string reshaped(const std::string& wish, const std::string& x, const OnnxModel::Sizes& sizes);
    /// Channels [begin, end) of a value along an axis.
    std::string sliced(const std::string& wish, const std::string& x, std::int64_t axis, std::int64_t begin,
                       std::int64_t end);
    std::string resized(const std::string& wish, const std::string& x, const Shape& from, std::int64_t height,
                        std::int64_t width, ops::Corners corners);
    /// A value of any rank as [N, T, C], and back to the shape of a value.
    std::string tokens(const std::string& wish, const std::string& x, const Shape& shape);
    std::string from_tokens(const std::string& wish, const std::string& x, const Shape& shape);
    std::string tail(const Call& call, std::string x, ops::Residual residual, std::size_t residual_input,
                     ops::Rectify rectify);

    std::string convert(const Call& call, const ops::Activation& op);
    std::string convert(const Call& call, const ops::AdaptivePool& op);
    std::string convert(const Call& call, const ops::Add& op);
    std::string convert(const Call& call, const ops::Attention& op);
    std::string convert(const Call& call, const ops::BatchNorm& op);
    std::string convert(const Call& call, const ops::Concat& op);
    std::string convert(const Call& call, const ops::Convolution& op);
    std::string convert(const Call& call, const ops::Dropout& op);
    std::string convert(const Call& call, const ops::GatedSum& op);
    std::string convert(const Call& call, const ops::GroupNorm& op);
    std::string convert(const Call& call, const ops::LayerNorm& op);
    std::string convert(const Call& call, const ops::Linear& op);
    std::string convert(const Call& call, const ops::MatMul& op);
    std::string convert(const Call& call, const ops::Multiply& op);
    std::string convert(const Call& call, const ops::Pool& op);
    std::string convert(const Call& call, const ops::PositionalEmbedding& op);
    std::string convert(const Call& call, const ops::Resize& op);
    std::string convert(const Call& call, const ops::Slice& op);
    std::string convert(const Call& call, const ops::Softmax& op);
    std::string convert(const Call& call, const ops::TransposedConvolution& op);

    const graph::Graph& graph_;
    const Numbers& numbers_;
    OnnxModel& model_;
    std::map<int, std::string> names_;
};

}  // namespace terrane::onnx

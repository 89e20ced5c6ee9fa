#include "graph/builder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace terrane::graph {

ops::OpDescriptor Graph::descriptor(const Node& node) const {
    ops::OpDescriptor descriptor{node.op, {}, {}};
    for (const ValueId id : node.inputs) descriptor.inputs.push_back(value(id).spec);
    for (const ValueId id : node.outputs) descriptor.outputs.push_back(value(id).spec);
    return descriptor;
}

std::vector<ValueId> parameters_by_completion(const Graph& graph) {
    // Backward visits nodes from the last to the first, so a gradient is complete at its first consumer.
    std::vector<int> first_consumer(graph.values.size(), std::numeric_limits<int>::max());
    for (std::size_t node = 0; node < graph.nodes.size(); ++node) {
        for (const ValueId id : graph.nodes[node].inputs) {
            auto& first = first_consumer[static_cast<std::size_t>(id.index)];
            first = std::min(first, static_cast<int>(node));
        }
    }
    std::vector<ValueId> order;
    for (std::size_t i = 0; i < graph.values.size(); ++i) {
        if (graph.values[i].kind == ValueKind::parameter) order.push_back({static_cast<int>(i)});
    }
    std::stable_sort(order.begin(), order.end(), [&](ValueId a, ValueId b) {
        const bool frozen_a = graph.value(a).trainable == Trainable::no;
        const bool frozen_b = graph.value(b).trainable == Trainable::no;
        if (frozen_a != frozen_b) return frozen_b;
        return first_consumer[static_cast<std::size_t>(a.index)] >
               first_consumer[static_cast<std::size_t>(b.index)];
    });
    return order;
}

GraphBuilder::GraphBuilder(device::Mode mode, DType compute) : compute_(compute) {
    graph_.mode = mode;
}

GraphBuilder::Scope::Scope(GraphBuilder& builder, std::string_view name, Kind kind)
    : builder_(builder),
      length_before_(builder.prefix_.size()),
      opens_block_(kind == Kind::block && builder.block_ < 0) {
    if (opens_block_) builder.block_ = builder.blocks_++;
    builder.prefix_ += name;
    builder.prefix_ += '.';
}

GraphBuilder::Scope::~Scope() {
    builder_.prefix_.resize(length_before_);
    if (opens_block_) builder_.block_ = -1;
}

std::string GraphBuilder::full_name(std::string_view name) const {
    return prefix_ + std::string(name);
}

ValueId GraphBuilder::add_value(Value value) {
    for (const Value& other : graph_.values) {
        TERRANE_ASSERT(other.name != value.name, "two values are called '{}'", value.name);
    }
    graph_.values.push_back(std::move(value));
    return {static_cast<int>(graph_.values.size()) - 1};
}

ValueId GraphBuilder::input(std::string name, const TensorSpec& spec) {
    Value value;
    value.name = std::move(name);
    value.spec = spec;
    value.kind = ValueKind::input;
    return add_value(std::move(value));
}

ValueId GraphBuilder::parameter(std::string_view name, const Shape& shape, const Initializer& initializer) {
    Value value;
    value.name = full_name(name);
    value.spec = {compute_ == DType::f64 ? DType::f64 : DType::f32, shape};
    value.kind = ValueKind::parameter;
    value.trainable = trainable_;
    value.saved = Saved::yes;
    value.initializer = initializer;
    return add_value(std::move(value));
}

ValueId GraphBuilder::state(std::string_view name, const TensorSpec& spec, double initial, Saved saved) {
    Value value;
    value.name = full_name(name);
    value.spec = spec;
    value.kind = ValueKind::state;
    value.saved = saved;
    value.initializer = Constant{initial};
    return add_value(std::move(value));
}

ValueId GraphBuilder::append(std::string_view name, const ops::Op& op, const std::vector<ValueId>& inputs) {
    const bool is_loss = std::visit(
        [](const auto& kind) {
            return requires {
                kind.loss_weight;
            };
        },
        op);
    if (!is_loss || compute_ != DType::f16 || mode() != device::Mode::training) {
        return append_node(name, op, inputs);
    }
    std::vector<ValueId> scaled;
    for (const ValueId id : inputs) scaled.push_back(scaled_for_losses(id));
    return append_node(name, op, scaled);
}

/// The value, with gradients multiplied by the loss scale where there are any.
ValueId GraphBuilder::scaled_for_losses(ValueId value) {
    const Value& read = graph_.value(value);
    const bool is_number = read.spec.dtype == DType::f16 || read.spec.dtype == DType::f32;
    const bool learns = read.kind == ValueKind::activation || read.trainable == Trainable::yes;
    if (!is_number || !learns) return value;
    if (const auto found = scaled_.find(value.index); found != scaled_.end()) return found->second;
    ValueId scale;
    for (std::size_t i = 0; i < graph_.values.size(); ++i) {
        if (graph_.values[i].name == loss_scale_state) scale = {static_cast<int>(i)};
    }
    if (scale.index < 0) {
        Value state;
        state.name = loss_scale_state;
        state.spec = {DType::f32, Shape{1}};
        state.kind = ValueKind::state;
        state.initializer = Constant{1};
        scale = add_value(std::move(state));
    }
    return scaled_[value.index] =
               append_node("for_loss." + std::to_string(value.index), ops::ScaleGradient{}, {value, scale});
}

ValueId GraphBuilder::append_node(std::string_view name, const ops::Op& op,
                                  const std::vector<ValueId>& inputs) {
    std::vector<TensorSpec> specs;
    for (const ValueId id : inputs) {
        TERRANE_ASSERT(id.index >= 0, "node '{}' reads a value that was never made", full_name(name));
        specs.push_back(graph_.value(id).spec);
    }
    const ops::OpDescriptor descriptor = ops::describe(op, std::move(specs));

    Node node{full_name(name), op, inputs, {}, block_};
    for (std::size_t i = 0; i < descriptor.outputs.size(); ++i) {
        Value value;
        value.name = i == 0 ? node.name : node.name + ":" + std::to_string(i);
        value.spec = descriptor.outputs[i];
        value.producer = static_cast<int>(graph_.nodes.size());
        node.outputs.push_back(add_value(std::move(value)));
    }
    graph_.nodes.push_back(std::move(node));
    return graph_.nodes.back().outputs[0];
}

ValueId GraphBuilder::convolution(std::string_view name, ValueId x, std::int64_t channels,
                                  const ConvolutionOptions& options) {
    const std::int64_t inner = shape_of(x).channels() / options.groups;
    const std::string base(name);
    std::vector<ValueId> inputs{x};
    inputs.push_back(parameter(base + ".weight", Shape{channels, options.kernel, options.kernel, inner},
                               options.initializer));
    if (options.bias) {
        const double fan_in = static_cast<double>(options.kernel * options.kernel * inner);
        const bool uniform = std::holds_alternative<UniformFanIn>(options.initializer);
        const Initializer initializer =
            uniform ? Initializer(Uniform{std::sqrt(1.0 / fan_in)}) : Initializer(Constant{0});
        inputs.push_back(parameter(base + ".bias", Shape{channels}, initializer));
    }
    return append(base,
                  ops::Convolution{.kernel = options.kernel,
                                   .stride = options.stride,
                                   .padding = options.padding,
                                   .dilation = options.dilation,
                                   .groups = options.groups},
                  inputs);
}

void GraphBuilder::output(std::string name, ValueId value) {
    graph_.outputs.emplace_back(std::move(name), value);
}
void GraphBuilder::loss(ValueId value) {
    graph_.losses.push_back(value);
}

Graph GraphBuilder::finish() {
    scaled_.clear();
    return std::exchange(graph_, {});
}

}  // namespace terrane::graph

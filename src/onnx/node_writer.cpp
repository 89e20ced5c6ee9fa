#include "onnx/node_writer.hpp"

#include <cmath>

namespace terrane::onnx {

namespace {

using Sizes = OnnxModel::Sizes;

std::int64_t channel_axis(const Shape& shape) {
    return shape.rank() == 4 ? 1 : shape.rank() - 1;
}

// [outer, pixels, channels] to [outer, channels, pixels].
std::vector<float> channels_first(const std::vector<float>& values, std::int64_t outer, std::int64_t pixels,
                                  std::int64_t channels) {
    std::vector<float> result(values.size());
    std::size_t to = 0;
    for (std::int64_t o = 0; o < outer; ++o) {
        for (std::int64_t c = 0; c < channels; ++c) {
            for (std::int64_t p = 0; p < pixels; ++p) {
                result[to++] = values[static_cast<std::size_t>((o * pixels + p) * channels + c)];
            }
        }
    }
    return result;
}

}  // namespace

Sizes onnx_sizes(const Shape& shape) {
    if (shape.rank() == 4) return {shape[0], shape[3], shape[1], shape[2]};
    Sizes sizes;
    for (int i = 0; i < shape.rank(); ++i) sizes.push_back(shape[i]);
    return sizes;
}

const std::string& NodeWriter::name_of(graph::ValueId id) const {
    const auto found = names_.find(id.index);
    TERRANE_ASSERT(found != names_.end(), "value {} was not written", graph_.value(id).name);
    return found->second;
}

void NodeWriter::write(const graph::Node& node) {
    const Call call(node);
    const auto convert_known = [&](const auto& op) -> std::string {
        if constexpr (requires { convert(call, op); }) {
            return convert(call, op);
        } else {
            throw Error(ExitCode::data_invalid, 626,
                        fmt::format("{}: the operation {} has no counterpart in ONNX.", node.name, op.name),
                        "Export this network as .safetensors.");
        }
    };
    names_[node.outputs[0].index] = std::visit(convert_known, node.op);
}

std::vector<float> NodeWriter::numbers(const Call& call, std::size_t input) const {
    const graph::Value& value = graph_.value(call.node.inputs[input]);
    return numbers_(value.name, value.spec.shape);
}

std::string NodeWriter::constant(const Call& call, std::size_t input) {
    const graph::Value& value = graph_.value(call.node.inputs[input]);
    const auto found = names_.find(call.node.inputs[input].index);
    if (found != names_.end()) return found->second;
    Sizes sizes;
    for (int i = 0; i < value.spec.shape.rank(); ++i) sizes.push_back(value.spec.shape[i]);
    return names_[call.node.inputs[input].index] = model_.constant(value.name, sizes, numbers(call, input));
}

std::string NodeWriter::kernel(const Call& call, std::size_t input) {
    const Shape& s = shape(call, input);
    return model_.constant(graph_.value(call.node.inputs[input]).name, {s[0], s[3], s[1], s[2]},
                           channels_first(numbers(call, input), s[0], s[1] * s[2], s[3]));
}

std::string NodeWriter::scalar(const std::string& wish, double value) {
    return model_.constant(wish, Sizes{}, std::vector<float>{static_cast<float>(value)});
}

std::string NodeWriter::transposed(const std::string& wish, const std::string& x, const Sizes& order) {
    return model_.node("Transpose", wish, {x}, {.lists = {{"perm", order}}});
}

std::string NodeWriter::reshaped(const std::string& wish, const std::string& x, const Sizes& sizes) {
    return model_.node("Reshape", wish, {x, model_.constant(wish + ".shape", sizes)});
}

std::string NodeWriter::sliced(const std::string& wish, const std::string& x, std::int64_t axis,
                               std::int64_t begin, std::int64_t end) {
    return model_.node(
        "Slice", wish,
        {x, model_.constant(wish + ".begin", Sizes{begin}), model_.constant(wish + ".end", Sizes{end}),
         model_.constant(wish + ".axis", Sizes{axis})});
}

std::string NodeWriter::resized(const std::string& wish, const std::string& x, const Shape& from,
                                std::int64_t height, std::int64_t width, ops::Corners corners) {
    if (from.height() == height && from.width() == width) return x;
    const char* mode = corners == ops::Corners::align_corners ? "align_corners" : "half_pixel";
    return model_.node("Resize", wish,
                       {x, "", "", model_.constant(wish + ".sizes", Sizes{from[0], from[3], height, width})},
                       {.texts = {{"mode", "linear"}, {"coordinate_transformation_mode", mode}}});
}

std::string NodeWriter::tokens(const std::string& wish, const std::string& x, const Shape& shape) {
    if (shape.rank() != 4) return x;
    const std::string flat = reshaped(wish + ".flat", x, {shape[0], shape[3], shape[1] * shape[2]});
    return transposed(wish + ".tokens", flat, {0, 2, 1});
}

std::string NodeWriter::from_tokens(const std::string& wish, const std::string& x, const Shape& shape) {
    if (shape.rank() != 4) return x;
    return reshaped(wish + ".map", transposed(wish + ".flat", x, {0, 2, 1}), onnx_sizes(shape));
}

// What norms have fused behind them.
std::string NodeWriter::tail(const Call& call, std::string x, ops::Residual residual,
                             std::size_t residual_input, ops::Rectify rectify) {
    if (residual == ops::Residual::yes) {
        x = model_.node("Add", call.name + ".residual", {x, in(call, residual_input)});
    }
    if (rectify == ops::Rectify::yes) x = model_.node("Relu", call.name + ".relu", {x});
    return x;
}

std::string NodeWriter::convert(const Call& call, const ops::Activation& op) {
    const std::string& x = in(call, 0);
    switch (op.kind) {
        case ops::ActivationKind::relu:
            return model_.node("Relu", call.name, {x});
        case ops::ActivationKind::sigmoid:
            return model_.node("Sigmoid", call.name, {x});
        case ops::ActivationKind::silu:
            return model_.node("Mul", call.name, {x, model_.node("Sigmoid", call.name + ".gate", {x})});
        case ops::ActivationKind::gelu: {
            const std::string scaled =
                model_.node("Mul", call.name + ".scaled", {x, scalar(call.name + ".scale", std::sqrt(0.5))});
            const std::string erf = model_.node("Erf", call.name + ".erf", {scaled});
            const std::string sum =
                model_.node("Add", call.name + ".sum", {erf, scalar(call.name + ".one", 1)});
            const std::string half =
                model_.node("Mul", call.name + ".half", {x, scalar(call.name + ".h", 0.5)});
            return model_.node("Mul", call.name, {half, sum});
        }
    }
    return {};
}

// Bins that may overlap are a product with constant matrices from both sides: A [k, H] x B^T [W, k].
std::string NodeWriter::convert(const Call& call, const ops::AdaptivePool& op) {
    const Shape& from = shape(call, 0);
    if (op.height == 1 && op.width == 1) return model_.node("GlobalAveragePool", call.name, {in(call, 0)});
    const auto weights = [](std::int64_t length, std::int64_t bins, bool transposed) {
        std::vector<float> matrix(static_cast<std::size_t>(length * bins), 0.0f);
        for (std::int64_t bin = 0; bin < bins; ++bin) {
            const std::int64_t begin = bin * length / bins;
            const std::int64_t end = ((bin + 1) * length + bins - 1) / bins;
            for (std::int64_t i = begin; i < end; ++i) {
                const std::int64_t at = transposed ? i * bins + bin : bin * length + i;
                matrix[static_cast<std::size_t>(at)] = 1.0f / static_cast<float>(end - begin);
            }
        }
        return matrix;
    };
    const std::string columns = model_.constant(call.name + ".columns", {from.width(), op.width},
                                                weights(from.width(), op.width, true));
    const std::string rows = model_.constant(call.name + ".rows", {op.height, from.height()},
                                             weights(from.height(), op.height, false));
    const std::string narrow = model_.node("MatMul", call.name + ".narrow", {in(call, 0), columns});
    return model_.node("MatMul", call.name, {rows, narrow});
}

std::string NodeWriter::convert(const Call& call, const ops::Add&) {
    std::string sum = in(call, 0);
    for (std::size_t i = 1; i < call.node.inputs.size(); ++i)
        sum = model_.node("Add", call.name, {sum, in(call, i)});
    return sum;
}

std::string NodeWriter::convert(const Call& call, const ops::Attention& op) {
    std::vector<TensorSpec> specs;
    for (const graph::ValueId id : call.node.inputs) specs.push_back(graph_.value(id).spec);
    const ops::AttentionGeometry geometry(op, specs);
    const auto operand = [&](const ops::AttentionGeometry::Operand& part, std::int64_t count,
                             const char* what, const Sizes& order) {
        const std::string wish = call.name + "." + what;
        std::string x = tokens(wish, in(call, part.input), shape(call, part.input));
        const std::int64_t channels = geometry.heads * geometry.width;
        if (part.stride != channels) x = sliced(wish, x, 2, part.offset, part.offset + channels);
        x = reshaped(wish + ".heads", x, {geometry.batch, count, geometry.heads, geometry.width});
        return transposed(wish + ".turned", x, order);
    };
    const std::string q = operand(geometry.query, geometry.queries, "queries", {0, 2, 1, 3});
    const std::string k = operand(geometry.key, geometry.keys, "keys", {0, 2, 3, 1});
    const std::string v = operand(geometry.value, geometry.keys, "values", {0, 2, 1, 3});
    std::string x = model_.node("MatMul", call.name + ".products", {q, k});
    x = model_.node("Mul", call.name + ".scaled", {x, scalar(call.name + ".scale", geometry.scale)});
    x = model_.node("Softmax", call.name + ".softmax", {x}, {.integers = {{"axis", -1}}});
    x = transposed(call.name + ".joined", model_.node("MatMul", call.name + ".mixed", {x, v}), {0, 2, 1, 3});
    x = reshaped(call.name, x, {geometry.batch, geometry.queries, geometry.heads * geometry.width});
    return from_tokens(call.name, x, result(call));
}

std::string NodeWriter::convert(const Call& call, const ops::BatchNorm& op) {
    const std::string x =
        model_.node("BatchNormalization", call.name,
                    {in(call, 0), constant(call, 1), constant(call, 2), constant(call, 3), constant(call, 4)},
                    {.reals = {{"epsilon", static_cast<float>(op.epsilon)}}});
    return tail(call, x, op.residual, 5, op.rectify);
}

std::string NodeWriter::convert(const Call& call, const ops::Concat&) {
    Names inputs;
    for (std::size_t i = 0; i < call.node.inputs.size(); ++i) inputs.push_back(in(call, i));
    return model_.node("Concat", call.name, inputs, {.integers = {{"axis", channel_axis(result(call))}}});
}

std::string NodeWriter::convert(const Call& call, const ops::Convolution& op) {
    Names inputs{in(call, 0), kernel(call, 1)};
    if (call.node.inputs.size() > 2) inputs.push_back(constant(call, 2));
    return model_.node("Conv", call.name, inputs,
                       {.integers = {{"group", op.groups}},
                        .lists = {{"kernel_shape", {op.kernel, op.kernel}},
                                  {"strides", {op.stride, op.stride}},
                                  {"dilations", {op.dilation, op.dilation}},
                                  {"pads", {op.padding, op.padding, op.padding, op.padding}}}});
}

std::string NodeWriter::convert(const Call& call, const ops::Dropout&) {
    return in(call, 0);
}

std::string NodeWriter::convert(const Call& call, const ops::GatedSum&) {
    const std::size_t streams = call.node.inputs.size() - 2;
    const std::string gates = model_.node("Sigmoid", call.name + ".gates", {in(call, streams)});
    std::string sum;
    for (std::size_t m = 0; m < streams; ++m) {
        const auto at = static_cast<std::int64_t>(m);
        const std::string gate = sliced(call.name + ".gate", gates, 1, at, at + 1);
        const std::string there = sliced(call.name + ".presence", in(call, streams + 1), 1, at, at + 1);
        const std::string weight = model_.node("Mul", call.name + ".weight", {gate, there});
        const std::string part = model_.node("Mul", call.name + ".part", {in(call, m), weight});
        sum = m == 0 ? part : model_.node("Add", call.name, {sum, part});
    }
    return sum;
}

std::string NodeWriter::convert(const Call& call, const ops::GroupNorm& op) {
    const Shape& s = shape(call, 0);
    const auto groups = static_cast<std::size_t>(op.groups);
    std::string x = reshaped(call.name + ".groups", in(call, 0), {s[0], op.groups, -1});
    x = model_.node("InstanceNormalization", call.name + ".normed",
                    {x, model_.constant(call.name + ".ones", {op.groups}, std::vector<float>(groups, 1.0f)),
                     model_.constant(call.name + ".zeros", {op.groups}, std::vector<float>(groups, 0.0f))},
                    {.reals = {{"epsilon", static_cast<float>(op.epsilon)}}});
    x = reshaped(call.name + ".back", x, onnx_sizes(s));
    const auto per_channel = [&](std::size_t input) {
        return model_.constant(graph_.value(call.node.inputs[input]).name, {s[3], 1, 1},
                               numbers(call, input));
    };
    x = model_.node("Mul", call.name + ".scaled", {x, per_channel(1)});
    x = model_.node("Add", call.name, {x, per_channel(2)});
    return tail(call, x, op.residual, 3, op.rectify);
}

std::string NodeWriter::convert(const Call& call, const ops::LayerNorm& op) {
    const std::string x =
        model_.node("LayerNormalization", call.name,
                    {tokens(call.name, in(call, 0), shape(call, 0)), constant(call, 1), constant(call, 2)},
                    {.integers = {{"axis", -1}}, .reals = {{"epsilon", static_cast<float>(op.epsilon)}}});
    return from_tokens(call.name, x, result(call));
}

std::string NodeWriter::convert(const Call& call, const ops::Linear&) {
    const Shape& weight = shape(call, 1);
    const std::vector<float> rows = numbers(call, 1);
    const std::string& name = graph_.value(call.node.inputs[1]).name;
    if (shape(call, 0).rank() == 4) {  // a convolution of one pixel
        Names inputs{in(call, 0), model_.constant(name, {weight[0], weight[1], 1, 1}, rows)};
        if (call.node.inputs.size() > 2) inputs.push_back(constant(call, 2));
        return model_.node("Conv", call.name, inputs, {.lists = {{"kernel_shape", {1, 1}}}});
    }
    const std::string turned =
        model_.constant(name, {weight[1], weight[0]}, channels_first(rows, 1, weight[0], weight[1]));
    std::string x = model_.node("MatMul", call.name, {in(call, 0), turned});
    if (call.node.inputs.size() > 2) x = model_.node("Add", call.name + ".bias", {x, constant(call, 2)});
    return x;
}

std::string NodeWriter::convert(const Call& call, const ops::MatMul& op) {
    const auto operand = [&](std::size_t input, ops::Transpose transpose) {
        if (transpose == ops::Transpose::no) return in(call, input);
        return transposed(call.name + ".turned", in(call, input), {0, 2, 1});
    };
    const std::string x =
        model_.node("MatMul", call.name, {operand(0, op.transpose_a), operand(1, op.transpose_b)});
    if (op.scale == 1) return x;
    return model_.node("Mul", call.name + ".scaled", {x, scalar(call.name + ".scale", op.scale)});
}

std::string NodeWriter::convert(const Call& call, const ops::Multiply&) {
    return model_.node("Mul", call.name, {in(call, 0), in(call, 1)});
}

std::string NodeWriter::convert(const Call& call, const ops::Pool& op) {
    OnnxModel::Attributes attributes{
        .integers = {{"ceil_mode", op.rounding == ops::Rounding::ceiling ? 1 : 0}},
        .lists = {{"kernel_shape", {op.kernel, op.kernel}},
                  {"strides", {op.stride, op.stride}},
                  {"pads", {op.padding, op.padding, op.padding, op.padding}}}};
    if (op.kind == ops::PoolKind::maximum)
        return model_.node("MaxPool", call.name, {in(call, 0)}, attributes);
    attributes.integers.push_back({"count_include_pad", 0});
    return model_.node("AveragePool", call.name, {in(call, 0)}, attributes);
}

std::string NodeWriter::convert(const Call& call, const ops::PositionalEmbedding& op) {
    const Shape& s = shape(call, 0);
    const Shape& table = shape(call, 1);
    const std::vector<float> all = numbers(call, 1);
    const std::vector<float> rows(all.begin() + static_cast<std::ptrdiff_t>(op.skip * table[2]), all.end());
    const std::string& name = graph_.value(call.node.inputs[1]).name;
    const std::string positions =
        s.rank() == 4
            ? model_.constant(name, {1, s[3], s[1], s[2]}, channels_first(rows, 1, s[1] * s[2], s[3]))
            : model_.constant(name, {1, table[1] - op.skip, table[2]}, rows);
    return model_.node("Add", call.name, {in(call, 0), positions});
}

std::string NodeWriter::convert(const Call& call, const ops::Resize& op) {
    return resized(call.name, in(call, 0), shape(call, 0), op.height, op.width, op.corners);
}

std::string NodeWriter::convert(const Call& call, const ops::Slice& op) {
    return sliced(call.name, in(call, 0), channel_axis(shape(call, 0)), op.begin, op.end);
}

std::string NodeWriter::convert(const Call& call, const ops::Softmax& op) {
    const std::string logits =
        resized(call.name + ".logits", in(call, 0), shape(call, 0), op.height, op.width, op.corners);
    return model_.node("Softmax", call.name, {logits}, {.integers = {{"axis", 1}}});
}

std::string NodeWriter::convert(const Call& call, const ops::TransposedConvolution& op) {
    Names inputs{in(call, 0), kernel(call, 1)};
    if (call.node.inputs.size() > 2) inputs.push_back(constant(call, 2));
    return model_.node("ConvTranspose", call.name, inputs,
                       {.lists = {{"kernel_shape", {op.kernel, op.kernel}},
                                  {"strides", {op.stride, op.stride}},
                                  {"pads", {op.padding, op.padding, op.padding, op.padding}},
                                  {"output_padding", {op.output_padding, op.output_padding}}}});
}

}  // namespace terrane::onnx

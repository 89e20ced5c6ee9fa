#include "nets/norm.hpp"

#include <string>

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

NormKind norm_from_name(std::string_view name) {
    if (name == "batch") return NormKind::batch;
    if (name == "sync_batch") return NormKind::synchronised_batch;
    if (name == "group") return NormKind::group;
    throw Error(ExitCode::config_invalid, 540, fmt::format("model.norm = \"{}\" is no normalisation.", name),
                "Use batch, sync_batch or group.");
}

namespace {

/// 32 groups, or as many as divide the channels.
std::int64_t groups_for(std::int64_t channels) {
    std::int64_t groups = 32;
    while (channels % groups != 0) groups /= 2;
    return groups;
}

}  // namespace

ValueId norm(GraphBuilder& build, NormKind kind, std::string_view name, ValueId x, const NormTail& tail) {
    const std::int64_t channels = build.shape_of(x).channels();
    const std::string base(name);
    std::vector<ValueId> inputs{
        x, build.parameter(base + ".weight", Shape{channels}, graph::Constant{tail.initial_scale}),
        build.parameter(base + ".bias", Shape{channels}, graph::Constant{0})};
    const ops::Residual residual = tail.residual ? ops::Residual::yes : ops::Residual::no;
    if (kind == NormKind::group) {
        if (tail.residual) inputs.push_back(*tail.residual);
        return build.append(
            name,
            ops::GroupNorm{.groups = groups_for(channels), .rectify = tail.rectify, .residual = residual},
            inputs);
    }
    const TensorSpec statistics{build.compute() == DType::f64 ? DType::f64 : DType::f32, Shape{channels}};
    inputs.push_back(build.state(base + ".running_mean", statistics, 0, graph::Saved::yes));
    inputs.push_back(build.state(base + ".running_var", statistics, 1, graph::Saved::yes));
    if (tail.residual) inputs.push_back(*tail.residual);
    const ops::NormScope scope =
        kind == NormKind::batch ? ops::NormScope::local : ops::NormScope::synchronised;
    return build.append(name, ops::BatchNorm{.scope = scope, .rectify = tail.rectify, .residual = residual},
                        inputs);
}

ValueId convolution_norm_relu(GraphBuilder& build, NormKind kind, std::string_view conv, std::string_view bn,
                              ValueId x, std::int64_t channels,
                              const GraphBuilder::ConvolutionOptions& options) {
    return norm(build, kind, bn, build.convolution(conv, x, channels, options));
}

}  // namespace terrane::nets

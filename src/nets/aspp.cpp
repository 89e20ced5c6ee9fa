#include "nets/aspp.hpp"

#include <string>

namespace terrane::nets {

using graph::ValueId;

ValueId aspp(graph::GraphBuilder& build, NormKind kind, ValueId x, std::int64_t channels,
             std::span<const std::int64_t> rates) {
    const Shape shape = build.shape_of(x);
    std::vector<ValueId> branches;
    branches.push_back(
        convolution_norm_relu(build, kind, "branch0.conv", "branch0.bn", x, channels, {.kernel = 1}));
    for (std::size_t i = 0; i < rates.size(); ++i) {
        const std::string name = "branch" + std::to_string(i + 1);
        branches.push_back(convolution_norm_relu(build, kind, name + ".conv", name + ".bn", x, channels,
                                                 {.kernel = 3, .padding = rates[i], .dilation = rates[i]}));
    }
    ValueId mean = build.append("pool.mean", ops::AdaptivePool{.height = 1, .width = 1}, {x});
    mean = build.convolution("pool.conv", mean, channels, {.kernel = 1, .bias = true});
    mean = build.append("pool.relu", ops::Activation{ops::ActivationKind::relu}, {mean});
    branches.push_back(
        build.append("pool.spread", ops::Resize{.height = shape.height(), .width = shape.width()}, {mean}));

    const ValueId joined = build.append("join", ops::Concat{}, branches);
    return convolution_norm_relu(build, kind, "project.conv", "project.bn", joined, channels, {.kernel = 1});
}

}  // namespace terrane::nets

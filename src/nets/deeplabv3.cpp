#include "nets/deeplabv3.hpp"

#include <string>

#include "nets/resize.hpp"
#include "nets/segmentor.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

NetworkHeads deeplabv3(GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                       const NetworkValues& values) {
    const NormKind norm = norm_from_name(model.norm);
    return segmentor(build, model, inputs, values, [&](ValueId map, std::int64_t channels) {
        std::vector<ValueId> branches;
        {
            auto pool = build.scope("image_pool");
            ValueId mean = build.append("0", ops::AdaptivePool{.height = 1, .width = 1}, {map});
            mean = convolution_norm_relu(build, norm, "1.conv", "1.bn", mean, channels, {.kernel = 1});
            branches.push_back(resized_like(build, "resize", mean, map, corners_of(model)));
        }
        const auto branch = [&](const GraphBuilder::ConvolutionOptions& options) {
            auto module = build.scope("aspp_modules." + std::to_string(branches.size() - 1));
            branches.push_back(convolution_norm_relu(build, norm, "conv", "bn", map, channels, options));
        };
        branch({.kernel = 1});
        for (const std::int64_t rate : model.pyramid.rates) {
            branch({.kernel = 3, .padding = rate, .dilation = rate});
        }
        return branches;
    });
}

}  // namespace terrane::nets

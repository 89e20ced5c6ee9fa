#include "nets/pspnet.hpp"

#include <string>

#include "nets/resize.hpp"
#include "nets/segmentor.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

NetworkHeads pspnet(GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                    const NetworkValues& values) {
    const NormKind norm = norm_from_name(model.norm);
    return segmentor(build, model, inputs, values, [&](ValueId map, std::int64_t channels) {
        std::vector<ValueId> levels{map};
        for (std::size_t i = 0; i < model.pyramid.bins.size(); ++i) {
            auto level = build.scope("psp_modules." + std::to_string(i));
            const std::int64_t bins = model.pyramid.bins[i];
            ValueId x = build.append("0", ops::AdaptivePool{.height = bins, .width = bins}, {map});
            x = convolution_norm_relu(build, norm, "1.conv", "1.bn", x, channels, {.kernel = 1});
            levels.push_back(resized_like(build, "resize", x, map, corners_of(model)));
        }
        return levels;
    });
}

}  // namespace terrane::nets

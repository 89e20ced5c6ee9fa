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
    const BackboneFeatures features = dilated_backbone(build, model, inputs, values);
    const ValueId map = features.stage4;
    const std::int64_t channels = head_channels(build, model, map);

    NetworkHeads heads;
    {
        auto scope = build.block("decode_head");
        std::vector<ValueId> levels{map};
        for (std::size_t i = 0; i < model.pyramid.bins.size(); ++i) {
            auto level = build.scope("psp_modules." + std::to_string(i));
            const std::int64_t bins = model.pyramid.bins[i];
            ValueId x = build.append("0", ops::AdaptivePool{.height = bins, .width = bins}, {map});
            x = convolution_norm_relu(build, norm, "1.conv", "1.bn", x, channels, {.kernel = 1});
            levels.push_back(resized_like(build, "resize", x, map, corners_of(model)));
        }
        const ValueId joined = build.append("join", ops::Concat{}, levels);
        const ValueId x = convolution_norm_relu(build, norm, "bottleneck.conv", "bottleneck.bn", joined,
                                                channels, {.kernel = 3, .padding = 1});
        heads.main = classifier(build, model, x, inputs.classes);
    }
    heads.auxiliary = auxiliary_heads(build, model, features.stage3, inputs.classes);
    return heads;
}

}  // namespace terrane::nets

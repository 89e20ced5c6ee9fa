#include "nets/early_fusion.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

ValueId early_fusion(GraphBuilder& build, const NetworkInputs& inputs, const NetworkValues& values) {
    auto scope = build.scope("early_fusion");
    std::vector<ValueId> images;
    for (std::size_t m = 0; m < inputs.modalities.size(); ++m) {
        const std::string& name = inputs.modalities[m].name;
        ValueId image = values.modalities[m];
        if (inputs.modalities[m].scale != 1) {
            image = build.append(name + ".resize",
                                 ops::Resize{.height = inputs.height, .width = inputs.width}, {image});
        }
        if (inputs.modalities.size() > 1) {
            const auto column = static_cast<std::int64_t>(m);
            const ValueId there =
                build.append(name + ".presence", ops::Slice{column, column + 1}, {values.presence});
            image = build.append(name + ".gate", ops::Multiply{}, {image, there});
        }
        images.push_back(image);
    }
    return images.size() == 1 ? images.front() : build.append("join", ops::Concat{}, images);
}

}  // namespace terrane::nets

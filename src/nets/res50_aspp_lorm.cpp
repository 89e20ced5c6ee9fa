#include "nets/res50_aspp_lorm.hpp"

#include <string>

#include "nets/early_fusion.hpp"
#include "nets/resize.hpp"
#include "nets/resnet.hpp"

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

namespace {

ResNetEncoder encoder_of(const config::Model& model) {
    ResNetDesign design = resnet_from_name(model.encoder, model.encoder_width);
    design.stride_on = ResNetDesign::StrideOn::first;
    design.pooling = ops::Rounding::ceiling;
    design.residual_scale = 1;
    ResNetLayout layout = layout_of_stages(design, {1, 2, 1, 1}, {1, 1, 2, 1}, FirstBlock::dilated);
    std::vector<std::int64_t>& last = layout.stages[3].dilations;
    if (model.atrous.grid.size() != last.size()) {
        throw Error(ExitCode::config_invalid, 542,
                    fmt::format("model.atrous.grid has {} dilations, but stage 4 of {} has {} blocks.",
                                model.atrous.grid.size(), model.encoder, last.size()),
                    "Give one dilation per block.");
    }
    last = model.atrous.grid;
    return ResNetEncoder(design, norm_from_name(model.norm), layout);
}

ValueId atrous_classifier(GraphBuilder& build, const config::Model& model, ValueId x, std::int64_t classes) {
    const NormKind kind = norm_from_name(model.norm);
    auto scope = build.block("layer_pred0");
    std::vector<ValueId> branches;
    const auto branch = [&](const GraphBuilder::ConvolutionOptions& options) {
        auto own = build.scope("aspp" + std::to_string(branches.size() + 1));
        branches.push_back(convolution_norm_relu(build, kind, "atrous_conv", "bn", x, classes, options));
    };
    branch({.kernel = 1});
    for (const std::int64_t rate : model.atrous.rates) {
        branch({.kernel = 3, .padding = rate, .dilation = rate});
    }
    {
        auto own = build.scope("global_avg_pool");
        ValueId mean = build.append("0", ops::AdaptivePool{.height = 1, .width = 1}, {x});
        mean = convolution_norm_relu(build, kind, "1", "2", mean, classes, {.kernel = 1});
        branches.push_back(resized_like(build, "spread", mean, x, ops::Corners::align_corners));
    }
    const ValueId joined = build.append("join", ops::Concat{}, branches);
    return norm(build, kind, "bn1", build.convolution("conv1", joined, classes, {.kernel = 1}),
                {.rectify = ops::Rectify::no, .residual = {}});
}

}  // namespace

NetworkHeads res50_aspp_lorm(GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                             const NetworkValues& values) {
    if (build.mode() == device::Mode::training && inputs.batch == 1 && model.norm == "batch") {
        throw Error(
            ExitCode::config_invalid, 542,
            "res50_aspp_lorm normalises the means of images, one number per sample and channel: with one "
            "sample per rank there is nothing to normalise by.",
            "Set train.batch to at least 2, or model.norm = \"sync_batch\".");
    }
    const ResNetEncoder encoder = encoder_of(model);
    ValueId x = encoder.stem(build, early_fusion(build, inputs, values));
    for (int stage = 1; stage <= 4; ++stage) x = encoder.stage(build, stage, x);
    NetworkHeads heads;
    heads.main = {atrous_classifier(build, model, x, inputs.classes), ops::Corners::align_corners};
    heads.features = x;
    return heads;
}

}  // namespace terrane::nets

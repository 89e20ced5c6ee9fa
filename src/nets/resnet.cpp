#include "nets/resnet.hpp"

#include <algorithm>
#include <string>

namespace terrane::nets {

using graph::GraphBuilder;
using graph::ValueId;

std::int64_t ResNetDesign::channels(int stage) const {
    const std::int64_t channels_inside = width << (stage - 1);
    return block == Block::basic ? channels_inside : 4 * channels_inside;
}

ResNetDesign resnet_from_name(std::string_view name, std::int64_t width) {
    ResNetDesign design;
    design.width = width;
    if (name == "resnet18") return design;
    design.depths = {3, 4, 6, 3};
    if (name == "resnet34") return design;
    design.block = ResNetDesign::Block::bottleneck;
    if (name == "resnet50") return design;
    design.depths = {3, 4, 23, 3};
    if (name == "resnet101") return design;
    throw Error(ExitCode::config_invalid, 541, fmt::format("model.encoder = \"{}\" is no encoder.", name),
                "Use resnet18, resnet34, resnet50 or resnet101.");
}

namespace {

std::vector<std::int64_t> dilations_of_blocks(const ResNetDesign& design, int stage, std::int64_t first,
                                              std::int64_t others) {
    const auto blocks = static_cast<std::size_t>(design.depths[static_cast<std::size_t>(stage - 1)]);
    std::vector<std::int64_t> dilations(blocks, others);
    dilations.front() = first;
    return dilations;
}

}  // namespace

ResNetLayout layout_for_output_stride(const ResNetDesign& design, std::int64_t scale,
                                      std::int64_t output_stride) {
    std::int64_t reached = scale;
    const auto stride_towards = [&](std::int64_t aim) {
        const std::int64_t stride = 2 * reached <= aim ? 2 : 1;
        reached *= stride;
        return stride;
    };
    ResNetLayout layout;
    layout.stem_stride = stride_towards(2);
    layout.pool_stride = stride_towards(4);
    layout.stages[0] = {1, dilations_of_blocks(design, 1, 1, 1)};
    std::int64_t dilation = 1;
    for (int stage = 2; stage <= 4; ++stage) {
        const std::int64_t natural = std::int64_t{2} << stage;  // 8, 16, 32
        const std::int64_t before = dilation;
        std::int64_t stride = 1;
        if (natural > output_stride) {
            dilation *= 2;
        } else {
            stride = stride_towards(natural);
        }
        layout.stages[static_cast<std::size_t>(stage - 1)] = {
            stride, dilations_of_blocks(design, stage, before, dilation)};
    }
    return layout;
}

ResNetLayout layout_of_stages(const ResNetDesign& design, const std::array<std::int64_t, 4>& strides,
                              const std::array<std::int64_t, 4>& dilations, FirstBlock first) {
    ResNetLayout layout;
    for (std::size_t i = 0; i < 4; ++i) {
        const std::int64_t contracted =
            first == FirstBlock::contracted ? std::max<std::int64_t>(1, dilations[i] / 2) : dilations[i];
        layout.stages[i] = {strides[i],
                            dilations_of_blocks(design, static_cast<int>(i) + 1, contracted, dilations[i])};
    }
    return layout;
}

ResNetEncoder::ResNetEncoder(const ResNetDesign& design, NormKind norm, ResNetLayout layout)
    : design_(design), norm_(norm), layout_(std::move(layout)) {
    for (std::size_t i = 0; i < 4; ++i) {
        TERRANE_ASSERT(layout_.stages[i].dilations.size() == static_cast<std::size_t>(design.depths[i]),
                       "stage {} has {} blocks and {} dilations", i + 1, design.depths[i],
                       layout_.stages[i].dilations.size());
    }
}

ValueId ResNetEncoder::stem(GraphBuilder& build, ValueId x) const {
    if (design_.stem == ResNetDesign::Stem::single) {
        return convolution_norm_relu(build, norm_, "conv1", "bn1", x, design_.width,
                                     {.kernel = 7, .stride = layout_.stem_stride, .padding = 3});
    }
    auto scope = build.block("stem");
    const std::int64_t half = design_.width / 2;
    x = convolution_norm_relu(build, norm_, "0", "1", x, half,
                              {.kernel = 3, .stride = layout_.stem_stride, .padding = 1});
    x = convolution_norm_relu(build, norm_, "3", "4", x, half, {.kernel = 3, .padding = 1});
    return convolution_norm_relu(build, norm_, "6", "7", x, design_.width, {.kernel = 3, .padding = 1});
}

ValueId ResNetEncoder::stage(GraphBuilder& build, int stage, ValueId x) const {
    if (stage == 1 && layout_.pool_stride > 1) {
        const ops::Pool pool{.kind = ops::PoolKind::maximum,
                             .kernel = 3,
                             .stride = layout_.pool_stride,
                             .padding = 1,
                             .rounding = design_.pooling};
        x = build.append("maxpool", pool, {x});
    }
    const ResNetStage& plan = layout_.stage(stage);
    const std::int64_t width = design_.width << (stage - 1);
    auto layer = build.scope("layer" + std::to_string(stage));
    for (std::size_t block = 0; block < plan.dilations.size(); ++block) {
        auto scope = build.block(std::to_string(block));
        x = residual_block(build, x, width, block == 0 ? plan.stride : 1, plan.dilations[block]);
    }
    return x;
}

ValueId ResNetEncoder::residual_block(GraphBuilder& build, ValueId x, std::int64_t width, std::int64_t stride,
                                      std::int64_t dilation) const {
    const bool bottleneck = design_.block == ResNetDesign::Block::bottleneck;
    const std::int64_t channels = bottleneck ? 4 * width : width;
    ValueId skip = x;
    if (stride != 1 || build.shape_of(x).channels() != channels) {
        auto scope = build.scope("downsample");
        skip = norm(build, norm_, "1", build.convolution("0", x, channels, {.kernel = 1, .stride = stride}),
                    {.rectify = ops::Rectify::no, .residual = {}});
    }
    const bool early = bottleneck && design_.stride_on == ResNetDesign::StrideOn::first;
    const GraphBuilder::ConvolutionOptions spatial{
        .kernel = 3, .stride = early ? 1 : stride, .padding = dilation, .dilation = dilation};
    const NormTail join{.residual = skip, .initial_scale = design_.residual_scale};
    if (bottleneck) {
        const std::int64_t first = early ? stride : 1;
        ValueId y =
            convolution_norm_relu(build, norm_, "conv1", "bn1", x, width, {.kernel = 1, .stride = first});
        y = convolution_norm_relu(build, norm_, "conv2", "bn2", y, width, spatial);
        return norm(build, norm_, "bn3", build.convolution("conv3", y, channels, {.kernel = 1}), join);
    }
    const ValueId y = convolution_norm_relu(build, norm_, "conv1", "bn1", x, width, spatial);
    return norm(
        build, norm_, "bn2",
        build.convolution("conv2", y, channels, {.kernel = 3, .padding = dilation, .dilation = dilation}),
        join);
}

}  // namespace terrane::nets

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
    if (name == "resnet18") return {ResNetDesign::Block::basic, {2, 2, 2, 2}, width};
    if (name == "resnet34") return {ResNetDesign::Block::basic, {3, 4, 6, 3}, width};
    if (name == "resnet50") return {ResNetDesign::Block::bottleneck, {3, 4, 6, 3}, width};
    throw Error(ExitCode::config_invalid, 541, fmt::format("model.encoder = \"{}\" is no encoder.", name),
                "Use resnet18, resnet34 or resnet50.");
}

ResNetEncoder::ResNetEncoder(const ResNetDesign& design, NormKind norm, std::int64_t scale,
                             std::int64_t output_stride)
    : design_(design), norm_(norm), reached_(scale), output_stride_(output_stride) {}

std::int64_t ResNetEncoder::stride_towards(std::int64_t aim) {
    const std::int64_t stride = 2 * reached_ <= aim ? 2 : 1;
    reached_ *= stride;
    return stride;
}

ValueId ResNetEncoder::stem(GraphBuilder& build, ValueId x) {
    return convolution_norm_relu(build, norm_, "conv1", "bn1", x, design_.width,
                                 {.kernel = 7, .stride = stride_towards(2), .padding = 3});
}

ValueId ResNetEncoder::stage(GraphBuilder& build, int stage, ValueId x) {
    if (stage == 1 && stride_towards(4) == 2) {
        x = build.append("maxpool",
                         ops::Pool{.kind = ops::PoolKind::maximum, .kernel = 3, .stride = 2, .padding = 1},
                         {x});
    }
    const std::int64_t natural = std::int64_t{2} << stage;  // 4, 8, 16, 32
    std::int64_t stride = 1;
    // As torchvision: the first block of a dilated stage still has the dilation of the stage before.
    const std::int64_t first_dilation = dilation_;
    if (stage > 1) {
        if (natural > output_stride_) {
            dilation_ *= 2;
        } else {
            stride = stride_towards(natural);
        }
    }
    const std::int64_t width = design_.width << (stage - 1);
    auto layer = build.scope("layer" + std::to_string(stage));
    for (int block = 0; block < design_.depths[static_cast<std::size_t>(stage - 1)]; ++block) {
        auto scope = build.scope(std::to_string(block));
        x = residual_block(build, x, width, block == 0 ? stride : 1, block == 0 ? first_dilation : dilation_);
    }
    return x;
}

ValueId ResNetEncoder::residual_block(GraphBuilder& build, ValueId x, std::int64_t width, std::int64_t stride,
                                      std::int64_t dilation) {
    const bool bottleneck = design_.block == ResNetDesign::Block::bottleneck;
    const std::int64_t channels = bottleneck ? 4 * width : width;
    ValueId skip = x;
    if (stride != 1 || build.shape_of(x).channels() != channels) {
        auto scope = build.scope("downsample");
        skip = norm(build, norm_, "1", build.convolution("0", x, channels, {.kernel = 1, .stride = stride}),
                    {.rectify = ops::Rectify::no, .residual = {}});
    }
    const GraphBuilder::ConvolutionOptions spatial{
        .kernel = 3, .stride = stride, .padding = dilation, .dilation = dilation};
    // The last norm of a block starts at zero: the block begins as the identity (Goyal et al. 2017).
    const NormTail join{.residual = skip, .initial_scale = 0};
    if (bottleneck) {
        ValueId y = convolution_norm_relu(build, norm_, "conv1", "bn1", x, width, {.kernel = 1});
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

#pragma once

#include <array>
#include <string_view>

#include "nets/norm.hpp"

namespace terrane::nets {

/// The residual networks of He et al. 2016 (stride on the 3x3 convolution, as torchvision does) as an encoder
/// that is built stage by stage, so that a fusion can stand between stages. Names follow torchvision (conv1,
/// bn1, layer1.0.conv1 ...), so that its weights map one to one.
struct ResNetDesign {
    enum class Block { basic, bottleneck } block = Block::basic;
    std::array<int, 4> depths{2, 2, 2, 2};
    std::int64_t width = 64;  ///< channels of the stem and of stage 1

    /// Channels that stage 1..4 puts out.
    std::int64_t channels(int stage) const;
};

/// "resnet18", "resnet34", "resnet50" with the given width. Throws Error E0541 for anything else.
ResNetDesign resnet_from_name(std::string_view name, std::int64_t width);

/// Builds the stages of one encoder and keeps account of the stride reached. The strides aimed at are those
/// of the reference grid: stem 2, stages 4, 8, 16, 32, limited to the output stride; beyond it a stage
/// dilates instead of striding. A modality on a coarser grid begins at its scale and strides only while it
/// stays at least as fine as aimed.
class ResNetEncoder {
  public:
    ResNetEncoder(const ResNetDesign& design, NormKind norm, std::int64_t scale, std::int64_t output_stride);

    /// conv1 (7x7), bn1, ReLU.
    graph::ValueId stem(graph::GraphBuilder& build, graph::ValueId x);
    /// layer1 ... layer4; stage 1 begins with the 3x3 maximum pooling if there is stride left for it.
    graph::ValueId stage(graph::GraphBuilder& build, int stage, graph::ValueId x);

  private:
    /// Strides by two if that does not become coarser than `aim`.
    std::int64_t stride_towards(std::int64_t aim);
    graph::ValueId residual_block(graph::GraphBuilder& build, graph::ValueId x, std::int64_t width,
                                  std::int64_t stride, std::int64_t dilation);

    ResNetDesign design_;
    NormKind norm_;
    std::int64_t reached_;  ///< stride relative to the reference grid
    std::int64_t output_stride_;
    std::int64_t dilation_ = 1;
};

}  // namespace terrane::nets

#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "nets/norm.hpp"

namespace terrane::nets {

/// The residual networks of He et al. 2016 in the variants that segmentation networks use. Names follow
/// torchvision (conv1, bn1, layer1.0.conv1 ...) and, for the deep stem, MMSegmentation (stem.0, stem.1 ...),
/// so that their weights map one to one.
struct ResNetDesign {
    enum class Block { basic, bottleneck } block = Block::basic;
    /// One 7x7 convolution, or three 3x3 convolutions of width/2, width/2 and width channels ("V1c").
    enum class Stem { single, deep } stem = Stem::single;
    /// Which convolution of a block strides: the 3x3 (torchvision) or the first one (Caffe). They differ for
    /// bottlenecks only.
    enum class StrideOn { spatial, first } stride_on = StrideOn::spatial;
    ops::Rounding pooling = ops::Rounding::floor;  ///< of the stem's maximum pooling
    std::array<int, 4> depths{2, 2, 2, 2};
    std::int64_t width = 64;  ///< channels of the stem and of stage 1
    /// Scale that the last norm of a block starts with: 0 makes the block begin as the identity (Goyal et al.
    /// 2017).
    double residual_scale = 0;

    /// Channels that stage 1..4 puts out.
    std::int64_t channels(int stage) const;
};

/// "resnet18", "resnet34", "resnet50", "resnet101" with the given width. Throws Error E0541 for anything
/// else.
ResNetDesign resnet_from_name(std::string_view name, std::int64_t width);

/// One stage: the stride of its first block, and each block's dilation.
struct ResNetStage {
    std::int64_t stride = 1;
    std::vector<std::int64_t> dilations;
};

/// Where a ResNet strides and dilates.
struct ResNetLayout {
    std::int64_t stem_stride = 2;
    std::int64_t pool_stride = 2;  ///< 1: the pooling is left out
    std::array<ResNetStage, 4> stages;

    const ResNetStage& stage(int number) const { return stages[static_cast<std::size_t>(number - 1)]; }
};

/// Strides aim at those of the reference grid: stem 2, stages 4, 8, 16, 32, limited to the output stride;
/// beyond it a stage dilates instead of striding, its first block still with the dilation of the stage before
/// (as torchvision does). An input on a coarser grid begins at its `scale` and strides only while it stays at
/// least as fine as aimed.
ResNetLayout layout_for_output_stride(const ResNetDesign& design, std::int64_t scale,
                                      std::int64_t output_stride);

/// The first block of a dilated stage: with the stage's dilation, or half of it (MMSegmentation's
/// contract_dilation).
enum class FirstBlock { dilated, contracted };
/// Strides and dilations stage by stage. A stage whose blocks dilate each for itself (a multi-grid) is set
/// afterwards: layout.stages[3].dilations = {4, 8, 16}.
ResNetLayout layout_of_stages(const ResNetDesign& design, const std::array<std::int64_t, 4>& strides,
                              const std::array<std::int64_t, 4>& dilations, FirstBlock first);

/// Builds an encoder stage by stage, so that a fusion can stand between stages.
class ResNetEncoder {
  public:
    ResNetEncoder(const ResNetDesign& design, NormKind norm, ResNetLayout layout);

    /// The convolutions before the pooling, with norm and ReLU.
    graph::ValueId stem(graph::GraphBuilder& build, graph::ValueId x) const;
    /// layer1 ... layer4; stage 1 begins with the 3x3 maximum pooling if the layout has one.
    graph::ValueId stage(graph::GraphBuilder& build, int stage, graph::ValueId x) const;

  private:
    graph::ValueId residual_block(graph::GraphBuilder& build, graph::ValueId x, std::int64_t width,
                                  std::int64_t stride, std::int64_t dilation) const;

    ResNetDesign design_;
    NormKind norm_;
    ResNetLayout layout_;
};

}  // namespace terrane::nets

"""The PyTorch twin of src/nets/resnet.cpp: one ResNet for every network, with terrane's (torchvision's) names."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn

DESIGNS = {
    "resnet18": ("basic", [2, 2, 2, 2]),
    "resnet34": ("basic", [3, 4, 6, 3]),
    "resnet50": ("bottleneck", [3, 4, 6, 3]),
    "resnet101": ("bottleneck", [3, 4, 23, 3]),
}


def make_norm(kind, channels):
    if kind == "group":
        groups = 32
        while channels % groups:
            groups //= 2
        return nn.GroupNorm(groups, channels)
    return nn.BatchNorm2d(channels)


class ConvolutionNormRelu(nn.Module):
    """Convolution without bias named conv, norm named bn, ReLU."""

    def __init__(self, norm, channels_in, channels, **options):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, bias=False, **options)
        self.bn = make_norm(norm, channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


@dataclass
class Layout:
    """Where a ResNet strides and dilates: stages are (stride, [dilation of each block])."""

    stages: list
    stem_stride: int = 2
    pool_stride: int = 2


def layout_for_output_stride(encoder, scale, output_stride):
    """Strides towards the reference grid's 2, 4, 8, 16, 32 while that stays fine enough, then dilates; the first block
    of a dilated stage has the dilation of the stage before."""
    depths = DESIGNS[encoder][1]
    reached = scale

    def stride_towards(aim):
        nonlocal reached
        stride = 2 if reached * 2 <= aim else 1
        reached *= stride
        return stride

    layout = Layout([], stride_towards(2), stride_towards(4))
    layout.stages.append((1, [1] * depths[0]))
    dilation = 1
    for stage in range(2, 5):
        before, stride = dilation, 1
        if 2 << stage > output_stride:
            dilation *= 2
        else:
            stride = stride_towards(2 << stage)
        layout.stages.append((stride, [before] + [dilation] * (depths[stage - 1] - 1)))
    return layout


class ResidualBlock(nn.Module):
    def __init__(self, kind, norm, channels_in, width, stride, dilation, stride_on):
        super().__init__()
        channels = width * 4 if kind == "bottleneck" else width
        self.kind = kind
        if kind == "bottleneck":
            first, second = (stride, 1) if stride_on == "first" else (1, stride)
            self.conv1 = nn.Conv2d(channels_in, width, 1, first, bias=False)
            self.bn1 = make_norm(norm, width)
            self.conv2 = nn.Conv2d(width, width, 3, second, dilation, dilation, bias=False)
            self.bn2 = make_norm(norm, width)
            self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
            self.bn3 = make_norm(norm, channels)
        else:
            self.conv1 = nn.Conv2d(channels_in, width, 3, stride, dilation, dilation, bias=False)
            self.bn1 = make_norm(norm, width)
            self.conv2 = nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
            self.bn2 = make_norm(norm, width)
        self.downsample = None
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False),
                                            make_norm(norm, channels))
        self.channels = channels

    def forward(self, x):
        skip = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        if self.kind == "bottleneck":
            y = F.relu(self.bn2(self.conv2(y)))
            return F.relu(self.bn3(self.conv3(y)) + skip)
        return F.relu(self.bn2(self.conv2(y)) + skip)


class ResNet(nn.Module):
    """level(0, x) is the stem, level(1..4, x) the stages. stem: "single" (conv1, bn1) or "deep" (stem.0 ... stem.7);
    stride_on: the "spatial" 3x3 convolution or the "first"."""

    def __init__(self, encoder, bands, width, norm, layout, stem="single", stride_on="spatial", ceil_mode=False):
        super().__init__()
        kind = DESIGNS[encoder][0]
        self.layout, self.ceil_mode = layout, ceil_mode
        if stem == "deep":
            half = width // 2
            self.stem = nn.Sequential(
                nn.Conv2d(bands, half, 3, layout.stem_stride, 1, bias=False), make_norm(norm, half), nn.ReLU(),
                nn.Conv2d(half, half, 3, 1, 1, bias=False), make_norm(norm, half), nn.ReLU(),
                nn.Conv2d(half, width, 3, 1, 1, bias=False), make_norm(norm, width), nn.ReLU())
        else:
            self.stem = None
            self.conv1 = nn.Conv2d(bands, width, 7, layout.stem_stride, 3, bias=False)
            self.bn1 = make_norm(norm, width)
        channels = width
        for stage, (stride, dilations) in enumerate(layout.stages, 1):
            blocks = []
            for index, dilation in enumerate(dilations):
                block = ResidualBlock(kind, norm, channels, width << (stage - 1), stride if index == 0 else 1, dilation,
                                      stride_on)
                blocks.append(block)
                channels = block.channels
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.channels = [width] + [(width << stage) * (4 if kind == "bottleneck" else 1) for stage in range(4)]

    def level(self, index, x):
        if index == 0:
            return self.stem(x) if self.stem is not None else F.relu(self.bn1(self.conv1(x)))
        if index == 1 and self.layout.pool_stride > 1:
            x = F.max_pool2d(x, 3, self.layout.pool_stride, 1, ceil_mode=self.ceil_mode)
        return getattr(self, f"layer{index}")(x)

"""The PyTorch twin of src/nets/duet.cpp. Parameter names are terrane's; convolution weights are [K, C, R, S] here and
[K, R, S, C] there (see load_terrane)."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class ModalityInput:
    name: str
    bands: int
    scale: int = 1


@dataclass
class DuetOptions:
    modalities: list
    classes: int
    encoder: str = "resnet18"
    encoder_width: int = 64
    output_stride: int = 16
    decoder_channels: int = 128
    decoder_stride: int = 2
    aspp_channels: int = 128
    aspp_rates: list = field(default_factory=lambda: [6, 12, 18])
    dropout: float = 0.0
    norm: str = "batch"


DESIGNS = {
    "resnet18": ("basic", [2, 2, 2, 2]),
    "resnet34": ("basic", [3, 4, 6, 3]),
    "resnet50": ("bottleneck", [3, 4, 6, 3]),
}


def make_norm(kind, channels):
    if kind == "group":
        groups = 32
        while channels % groups:
            groups //= 2
        return nn.GroupNorm(groups, channels)
    return nn.BatchNorm2d(channels)


class ResidualBlock(nn.Module):
    def __init__(self, kind, norm, channels_in, width, stride, dilation):
        super().__init__()
        channels = width * 4 if kind == "bottleneck" else width
        self.kind = kind
        if kind == "bottleneck":
            self.conv1 = nn.Conv2d(channels_in, width, 1, bias=False)
            self.bn1 = make_norm(norm, width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
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


class Encoder(nn.Module):
    """One modality's ResNet; strides towards the reference grid's 2, 4, 8, 16, 32 while that stays fine enough."""

    def __init__(self, options, modality):
        super().__init__()
        kind, depths = DESIGNS[options.encoder]
        reached = modality.scale

        def stride_towards(aim):
            nonlocal reached
            stride = 2 if reached * 2 <= aim else 1
            reached *= stride
            return stride

        width = options.encoder_width
        self.conv1 = nn.Conv2d(modality.bands, width, 7, stride_towards(2), 3, bias=False)
        self.bn1 = make_norm(options.norm, width)
        self.pooled = stride_towards(4) == 2
        channels, dilation = width, 1
        for stage in range(1, 5):
            stride, first_dilation = 1, dilation
            if stage > 1:
                if 2 << stage > options.output_stride:
                    dilation *= 2
                else:
                    stride = stride_towards(2 << stage)
            blocks = []
            for index in range(depths[stage - 1]):
                block = ResidualBlock(kind, options.norm, channels, width << (stage - 1), stride if index == 0 else 1,
                                      first_dilation if index == 0 else dilation)
                blocks.append(block)
                channels = block.channels
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))

    def level(self, index, x):
        if index == 0:
            return F.relu(self.bn1(self.conv1(x)))
        if index == 1 and self.pooled:
            x = F.max_pool2d(x, 3, 2, 1)
        return getattr(self, f"layer{index}")(x)


class GateConvolutions(nn.Module):
    def __init__(self, options, channels):
        super().__init__()
        for modality in options.modalities:
            gate = nn.Module()
            gate.gate = nn.Conv2d(channels, len(options.modalities), 1, bias=True)
            setattr(self, modality.name, gate)


class ConvolutionNormRelu(nn.Module):
    def __init__(self, norm, channels_in, channels, **options):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, bias=False, **options)
        self.bn = make_norm(norm, channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Aspp(nn.Module):
    def __init__(self, options, channels_in):
        super().__init__()
        channels, norm = options.aspp_channels, options.norm
        rates = [rate * (2 if options.output_stride == 8 else 1) for rate in options.aspp_rates]
        self.branches = 1 + len(rates)
        self.branch0 = ConvolutionNormRelu(norm, channels_in, channels, kernel_size=1)
        for index, rate in enumerate(rates):
            branch = ConvolutionNormRelu(norm, channels_in, channels, kernel_size=3, padding=rate, dilation=rate)
            setattr(self, f"branch{index + 1}", branch)
        self.pool = nn.Module()
        self.pool.conv = nn.Conv2d(channels_in, channels, 1)
        self.project = ConvolutionNormRelu(norm, channels * (self.branches + 1), channels, kernel_size=1)

    def forward(self, x):
        parts = [getattr(self, f"branch{index}")(x) for index in range(self.branches)]
        mean = F.relu(self.pool.conv(x.mean((2, 3), keepdim=True)))
        parts.append(mean.expand(-1, -1, x.shape[2], x.shape[3]))
        return self.project(torch.cat(parts, 1))


class Refine(nn.Module):
    def __init__(self, norm, channels_in, skip_in, skip_channels, channels):
        super().__init__()
        self.skip = ConvolutionNormRelu(norm, skip_in, skip_channels, kernel_size=1)
        self.conv = nn.Conv2d(channels_in + skip_channels, channels, 3, padding=1, bias=False)
        self.bn = make_norm(norm, channels)

    def forward(self, x, skip):
        projected = self.skip(skip)
        raised = F.interpolate(x, size=projected.shape[2:], mode="bilinear", align_corners=False)
        return F.relu(self.bn(self.conv(torch.cat([raised, projected], 1))))


class Duet(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.options = options
        self.encoder = nn.ModuleDict({m.name: Encoder(options, m) for m in options.modalities})
        expansion = 4 if DESIGNS[options.encoder][0] == "bottleneck" else 1
        channels = [options.encoder_width] + [(options.encoder_width << stage) * expansion for stage in range(4)]
        if len(options.modalities) > 1:
            for index, width in enumerate(channels):
                setattr(self, f"fusion{index}", GateConvolutions(options, width))
        self.aspp = Aspp(options, channels[4])
        self.decoder = nn.ModuleDict()
        width = options.decoder_channels
        self.decoder["stride4"] = Refine(options.norm, options.aspp_channels, channels[1], 48, width)
        if options.decoder_stride == 2:
            self.decoder["stride2"] = Refine(options.norm, width, channels[0], 32, width // 2)
            width //= 2
        self.classifier = nn.Conv2d(width, options.classes, 1)

    def forward(self, inputs, presence):
        """inputs: name -> [N, bands, H / scale, W / scale]; presence: [N, modalities]. Returns logits."""
        names = [m.name for m in self.options.modalities]
        streams = [inputs[name] for name in names]
        fused = []
        for level in range(5):
            streams = [self.encoder[name].level(level, x) for name, x in zip(names, streams)]
            if len(names) > 1:
                size = streams[0].shape[2:]
                aligned = [x if x.shape[2:] == size else F.interpolate(x, size=size, mode="bilinear", align_corners=False)
                           for x in streams]
                fusion = getattr(self, f"fusion{level}")
                there = presence[:, :, None, None]
                votes = [getattr(fusion, name).gate(x) * there[:, m:m + 1] for m, (name, x) in enumerate(zip(names, aligned))]
                gates = torch.sigmoid(sum(votes)) * there
                streams[0] = sum(gates[:, m:m + 1] * x for m, x in enumerate(aligned))
            fused.append(streams[0])
        x = self.aspp(fused[4])
        x = self.decoder["stride4"](x, fused[1])
        if self.options.decoder_stride == 2:
            x = self.decoder["stride2"](x, fused[0])
        if self.options.dropout:
            x = F.dropout2d(x, self.options.dropout, self.training)
        return self.classifier(x)


def upsampled_cross_entropy(logits, labels, class_weights=None, label_smoothing=0.0):
    """Mean over valid pixels at the labels' resolution, in fp32 or better."""
    logits = logits.double() if logits.dtype == torch.float64 else logits.float()
    full = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=False)
    return F.cross_entropy(full, labels.long(), weight=class_weights, ignore_index=255, label_smoothing=label_smoothing)


def to_torch_layout(array):
    """terrane's [K, R, S, C] weight as PyTorch's [K, C, R, S]; everything else unchanged."""
    tensor = torch.as_tensor(array)
    return tensor.permute(0, 3, 1, 2).contiguous() if tensor.dim() == 4 else tensor


def load_terrane(model, tensors):
    """Loads terrane's parameters and states by name. Every tensor of the model must be there, with its shape."""
    own = model.state_dict()
    missing = [name for name in own if name not in tensors and not name.endswith("num_batches_tracked")]
    if missing:
        raise KeyError(f"terrane's weights lack {missing[:5]} ({len(missing)} in all)")
    unexpected = [name for name in tensors if name not in own]
    if unexpected:
        raise KeyError(f"the twin lacks {unexpected[:5]} ({len(unexpected)} in all)")
    for name, array in tensors.items():
        own[name].copy_(to_torch_layout(array))

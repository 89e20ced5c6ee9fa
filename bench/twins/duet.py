"""The PyTorch twin of src/nets/duet.cpp, with its parameter names."""

import torch
import torch.nn.functional as F
from torch import nn

from .case import Head
from .resnet import ConvolutionNormRelu, ResNet, layout_for_output_stride, make_norm


class GateConvolutions(nn.Module):
    def __init__(self, case, channels):
        super().__init__()
        for modality in case.modalities:
            gate = nn.Module()
            gate.gate = nn.Conv2d(channels, len(case.modalities), 1, bias=True)
            setattr(self, modality.name, gate)


class Aspp(nn.Module):
    def __init__(self, model, channels_in):
        super().__init__()
        channels, norm = model["aspp_channels"], model["norm"]
        rates = [rate * (2 if model["output_stride"] == 8 else 1) for rate in model["aspp_rates"]]
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
    def __init__(self, case):
        super().__init__()
        self.case = case
        model = case.model
        norm = model["norm"]
        self.encoder = nn.ModuleDict()
        for modality in case.modalities:
            layout = layout_for_output_stride(model["encoder"], modality.scale, model["output_stride"])
            self.encoder[modality.name] = ResNet(model["encoder"], modality.bands, model["encoder_width"], norm, layout)
        channels = self.encoder[case.modalities[0].name].channels
        if len(case.modalities) > 1:
            for index, width in enumerate(channels):
                setattr(self, f"fusion{index}", GateConvolutions(case, width))
        self.aspp = Aspp(model, channels[4])
        self.decoder = nn.ModuleDict()
        width = model["decoder_channels"]
        self.decoder["stride4"] = Refine(norm, model["aspp_channels"], channels[1], 48, width)
        if model["decoder_stride"] == 2:
            self.decoder["stride2"] = Refine(norm, width, channels[0], 32, width // 2)
            width //= 2
        self.classifier = nn.Conv2d(width, case.classes, 1)

    def forward(self, inputs, presence):
        """inputs: name -> [N, bands, H / scale, W / scale]; presence: [N, modalities]. Returns its one head."""
        names = [m.name for m in self.case.modalities]
        model = self.case.model
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
        if model["decoder_stride"] == 2:
            x = self.decoder["stride2"](x, fused[0])
        if model["dropout"]:
            x = F.dropout2d(x, model["dropout"], self.training)
        return [Head("logits", self.classifier(x))]


def build(case):
    return Duet(case)

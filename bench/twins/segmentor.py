"""The PyTorch twin of src/nets/segmentor.cpp: what pspnet and deeplabv3 share, under MMSegmentation's names."""

import torch
import torch.nn.functional as F
from torch import nn

from .case import Head, early_fusion
from .resnet import ConvolutionNormRelu, ResNet, layout_for_output_stride


class DecodeHead(nn.Module):
    """Subclasses set self.channels and implement features(map) -> [N, channels, h, w]."""

    def classifier(self, case, channels):
        self.dropout = case.model["dropout"]
        self.conv_seg = nn.Conv2d(channels, case.classes, 1)
        nn.init.normal_(self.conv_seg.weight, std=0.01)
        nn.init.zeros_(self.conv_seg.bias)

    def classify(self, x):
        if self.dropout:
            x = F.dropout2d(x, self.dropout, self.training)
        return self.conv_seg(x)

    def forward(self, x):
        return self.classify(self.features(x))


class AuxiliaryHead(DecodeHead):
    def __init__(self, case, channels_in):
        super().__init__()
        channels = channels_in // 4
        self.convs = nn.Sequential(
            ConvolutionNormRelu(case.model["norm"], channels_in, channels, kernel_size=3, padding=1))
        self.classifier(case, channels)

    def features(self, x):
        return self.convs(x)


class Segmentor(nn.Module):
    def __init__(self, case, decode_head):
        super().__init__()
        model, pyramid = case.model, case.model["pyramid"]
        self.case = case
        layout = layout_for_output_stride(model["encoder"], 1, model["output_stride"])
        self.backbone = ResNet(model["encoder"], case.bands, model["encoder_width"], model["norm"], layout, pyramid["stem"])
        deepest = self.backbone.channels[4]
        self.decode_head = decode_head(case, deepest, pyramid["channels"] or deepest // 4)
        self.weight = pyramid["auxiliary_weight"]
        if self.weight:
            self.auxiliary_head = AuxiliaryHead(case, self.backbone.channels[3])

    def forward(self, images, presence):
        x = early_fusion(self.case, images, presence)
        for level in range(4):
            x = self.backbone.level(level, x)
        align = self.case.model["pyramid"]["align_corners"]
        heads = [Head("logits", self.decode_head(self.backbone.level(4, x)), 1.0, align)]
        if self.weight and self.training:
            heads.append(Head("auxiliary_head", self.auxiliary_head(x), self.weight, align))
        return heads


def resized(case, x, like):
    return F.interpolate(x, size=like.shape[2:], mode="bilinear",
                         align_corners=case.model["pyramid"]["align_corners"])


def join(parts):
    return torch.cat(parts, 1)

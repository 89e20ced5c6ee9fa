"""The PyTorch twin of src/nets/pspnet.cpp."""

from torch import nn

from .resnet import ConvolutionNormRelu
from .segmentor import DecodeHead, Segmentor, join, resized


class PyramidHead(DecodeHead):
    def __init__(self, case, channels_in, channels):
        super().__init__()
        norm, bins = case.model["norm"], case.model["pyramid"]["bins"]
        self.case = case
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(cells), ConvolutionNormRelu(norm, channels_in, channels, kernel_size=1))
            for cells in bins)
        self.bottleneck = ConvolutionNormRelu(norm, channels_in + len(bins) * channels, channels, kernel_size=3, padding=1)
        self.classifier(case, channels)

    def features(self, x):
        return self.bottleneck(join([x] + [resized(self.case, module(x), x) for module in self.psp_modules]))


def build(case):
    return Segmentor(case, PyramidHead)

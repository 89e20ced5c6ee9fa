"""The PyTorch twin of src/nets/deeplabv3.cpp."""

from torch import nn

from .resnet import ConvolutionNormRelu
from .segmentor import DecodeHead, Segmentor, join, resized


class AtrousHead(DecodeHead):
    def __init__(self, case, channels_in, channels):
        super().__init__()
        norm, rates = case.model["norm"], case.model["pyramid"]["rates"]
        self.case = case
        self.image_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), ConvolutionNormRelu(norm, channels_in, channels, kernel_size=1))
        self.aspp_modules = nn.ModuleList([ConvolutionNormRelu(norm, channels_in, channels, kernel_size=1)])
        for rate in rates:
            self.aspp_modules.append(
                ConvolutionNormRelu(norm, channels_in, channels, kernel_size=3, padding=rate, dilation=rate))
        self.bottleneck = ConvolutionNormRelu(norm, (2 + len(rates)) * channels, channels, kernel_size=3, padding=1)
        self.classifier(case, channels)

    def features(self, x):
        parts = [resized(self.case, self.image_pool(x), x)] + [module(x) for module in self.aspp_modules]
        return self.bottleneck(join(parts))


def build(case):
    return Segmentor(case, AtrousHead)

"""The PyTorch twin of src/nets/res50_aspp_lorm.cpp and of the loss terms of weak supervision."""

import torch
import torch.nn.functional as F
from torch import nn

from .case import Head, early_fusion, segmentation_losses
from .resnet import DESIGNS, Layout, ResNet, make_norm


class Branch(nn.Module):
    def __init__(self, norm, channels_in, channels, **options):
        super().__init__()
        self.atrous_conv = nn.Conv2d(channels_in, channels, bias=False, **options)
        self.bn = make_norm(norm, channels)

    def forward(self, x):
        return F.relu(self.bn(self.atrous_conv(x)))


class AtrousClassifier(nn.Module):
    def __init__(self, norm, channels, classes, rates):
        super().__init__()
        self.branches = ["aspp1"]
        self.aspp1 = Branch(norm, channels, classes, kernel_size=1)
        for index, rate in enumerate(rates, 2):
            self.branches.append(f"aspp{index}")
            setattr(self, self.branches[-1],
                    Branch(norm, channels, classes, kernel_size=3, padding=rate, dilation=rate))
        self.global_avg_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, classes, 1, bias=False),
                                             make_norm(norm, classes), nn.ReLU())
        self.conv1 = nn.Conv2d((2 + len(rates)) * classes, classes, 1, bias=False)
        self.bn1 = make_norm(norm, classes)

    def forward(self, x):
        parts = [getattr(self, name)(x) for name in self.branches]
        parts.append(F.interpolate(self.global_avg_pool(x), size=x.shape[2:], mode="bilinear", align_corners=True))
        return self.bn1(self.conv1(torch.cat(parts, 1)))


class Rectification(nn.Module):
    """src/ops/localization_rectification.hpp, the whole similarity matrix at once."""

    def __init__(self, channels):
        super().__init__()
        self.query_conv = nn.Conv2d(channels, channels, 1)
        self.key_conv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.ones(1))

    @staticmethod
    def unit(tokens):
        return tokens / (tokens.square().sum(2, keepdim=True) + 1e-12).sqrt()

    def forward(self, x, classes, background):
        n, channels, h, w = x.shape
        foreground = (classes != 255) & (classes != background)
        mask = F.interpolate(foreground[:, None].to(x.dtype), size=(h, w), mode="bilinear", align_corners=True) > 0
        tokens = x.flatten(2).transpose(1, 2)
        query = self.unit(self.query_conv(x).flatten(2).transpose(1, 2))
        key = self.unit(self.key_conv(x).flatten(2).transpose(1, 2))
        rectified = (query @ key.transpose(1, 2)).softmax(2) @ tokens
        squares = (tokens - self.gamma * mask.flatten(2).transpose(1, 2).to(x.dtype) * rectified).square()
        return squares.sum() / (squares != 0).sum()


class Network(nn.Module):
    def __init__(self, case):
        super().__init__()
        model, atrous = case.model, case.model["atrous"]
        depths = DESIGNS[model["encoder"]][1]
        stages = [(1, [1] * depths[0]), (2, [1] * depths[1]), (1, [2] * depths[2]), (1, atrous["grid"])]
        encoder = ResNet(model["encoder"], case.bands, model["encoder_width"], model["norm"], Layout(stages),
                         stride_on="first", ceil_mode=True)
        for name, child in encoder.named_children():
            self.add_module(name, child)
        self.encoder = [encoder]  # not a child: its layers already are
        self.case = case
        channels = encoder.channels[4]
        self.layer_pred0 = AtrousClassifier(model["norm"], channels, case.classes, atrous["rates"])
        if any(term["name"] == "rectification" for term in case.config["loss"]["terms"]):
            self.layer_camatt = Rectification(channels)

    def forward(self, images, presence):
        x = early_fusion(self.case, images, presence)
        for level in range(5):
            x = self.encoder[0].level(level, x)
        self.features = x
        return [Head("logits", self.layer_pred0(x), 1.0, True)]


def build(case):
    return Network(case)


def distance_entropy(logits, distances):
    """src/ops/distance_entropy.hpp, as published: over the pixels whose term is not zero."""
    log_p = (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(1)
    terms = distances.to(log_p.dtype) / 255 * (log_p.exp() * log_p).sum(1)
    return -terms.sum() / (terms != 0).sum()


def losses(model, inputs, case):
    images = {modality.name: inputs[modality.name] for modality in case.modalities}
    heads = model(images, inputs["presence"])
    model.answer = heads[0].logits.detach()
    background = next((index for index, item in enumerate(case.config["class"]) if item.get("background")), -1)
    result = {}
    for term in case.config["loss"]["terms"]:
        target = term.get("target", "label")
        classes = inputs["labels" if target == "label" else target] if term["name"] != "distance_entropy" else None
        node = f"loss.{term['name']}" + ("" if target == "label" else f"_{target}")
        if term["name"] == "rectification":
            result[node] = (model.layer_camatt(model.features, classes.long(), background), term["weight"])
        elif term["name"] == "distance_entropy":
            distances = inputs[f"{target}_distance"]
            full = F.interpolate(heads[0].logits, size=distances.shape[1:], mode="bilinear", align_corners=True)
            result[node] = (distance_entropy(full, distances), term["weight"])
        else:
            smoothing = term.get("label_smoothing", -1)
            if smoothing < 0:
                smoothing = case.config["loss"]["label_smoothing"]
            own = {**case.config["loss"], "terms": [term], "label_smoothing": smoothing}
            alone = type(case)({**case.config, "loss": own}, case.modalities, case.classes)
            result[node] = segmentation_losses(alone, heads, classes)[f"loss.{term['name']}"]
    return result


def outputs(model):
    return {"logits": model.answer}

"""The PyTorch twins of src/nets/setr_light.cpp and setr_mla.cpp; see setr_light.py and setr_mla.py beside this file."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .case import Head, early_fusion


class Attention(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        else:
            weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
            y = F.dropout(weights, self.dropout, self.training) @ v
        return F.dropout(self.proj(y.transpose(1, 2).reshape(batch, tokens, width)), self.dropout, self.training)


class Perceptron(nn.Module):
    def __init__(self, width, hidden, dropout):
        super().__init__()
        self.dropout = dropout
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x):
        x = F.dropout(F.gelu(self.fc1(x)), self.dropout, self.training)
        return F.dropout(self.fc2(x), self.dropout, self.training)


class Block(nn.Module):
    def __init__(self, vit, perceptron):
        super().__init__()
        width = vit["width"]
        self.perceptron = perceptron
        self.norm1 = nn.LayerNorm(width, eps=vit["epsilon"])
        self.attn = Attention(width, vit["heads"], max(vit["dropout"], 0))
        self.norm2 = nn.LayerNorm(width, eps=vit["epsilon"])
        self.add_module(perceptron, Perceptron(width, round(width * vit["mlp_ratio"]), max(vit["dropout"], 0)))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + getattr(self, self.perceptron)(self.norm2(x))


class VisionTransformer(nn.Module):
    """Parameters under timm's names; `class_token`: with a class token that takes part in nothing."""

    def __init__(self, case, perceptron="mlp", class_token=False):
        super().__init__()
        vit = case.model["vit"]
        self.grid = case.height // vit["patch"]
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(case.bands, vit["width"], vit["patch"], vit["patch"])
        if class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, vit["width"]))
        self.skipped = 1 if class_token else 0
        self.pos_embed = nn.Parameter(torch.randn(1, self.skipped + self.grid ** 2, vit["width"]) * 0.02)
        self.blocks = nn.ModuleList(Block(vit, perceptron) for _ in range(vit["depth"]))

    def tap(self, image, taps):
        """The outputs of some blocks as maps."""
        x = self.patch_embed.proj(image).flatten(2).transpose(1, 2) + self.pos_embed[:, self.skipped:]
        features = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in taps:
                features.append(x.transpose(1, 2).unflatten(2, (self.grid, self.grid)))
        return features


class SetrLight(VisionTransformer):
    def __init__(self, case):
        super().__init__(case, "ffn")
        vit = case.model["vit"]
        self.case = case
        self.taps = vit["taps"] or [0, vit["depth"] // 2, vit["depth"] - 1]
        self.norm = nn.LayerNorm(vit["width"], eps=vit["epsilon"])
        self.mla_projs = nn.ModuleList(nn.Conv2d(vit["width"], 64, 1) for _ in self.taps)
        layers, channels = [], 64
        for step in range(int(math.log2(vit["patch"]))):
            out = [128, 128, 64, 64][step] if step < 4 else 32
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(),
                       nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)]
            channels = out
        self.decoder = nn.Sequential(*layers)
        self.head = nn.Conv2d(channels, case.classes, 1)

    def forward(self, images, presence):
        features = self.tap(early_fusion(self.case, images, presence), self.taps)
        x = sum(project(feature) for project, feature in zip(self.mla_projs, features))
        return [Head("logits", self.head(self.decoder(x)), 1.0, True)]


def unit(channels_in, channels, kernel):
    return [nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]


class MlaBackbone(VisionTransformer):
    def __init__(self, case):
        super().__init__(case, class_token=True)
        vit = case.model["vit"]
        quarter = vit["depth"] // 4
        self.taps = vit["taps"] or [quarter - 1, 2 * quarter - 1, 3 * quarter - 1, vit["depth"] - 1]
        for index in range(len(self.taps)):
            self.add_module(f"norm_{index}", nn.LayerNorm(vit["width"], eps=vit["epsilon"]))
        self.mla = nn.Module()
        for index in range(len(self.taps)):
            self.mla.add_module(f"mla_p{index + 2}_1x1", nn.Sequential(*unit(vit["width"], 256, 1)))
            self.mla.add_module(f"mla_p{index + 2}", nn.Sequential(*unit(256, 256, 3)))

    def forward(self, image):
        features = self.tap(image, self.taps)
        levels, total = [None] * len(features), 0
        for index in reversed(range(len(features))):
            tokens = features[index].permute(0, 2, 3, 1)
            normed = getattr(self, f"norm_{index}")(tokens).permute(0, 3, 1, 2)
            total = getattr(self.mla, f"mla_p{index + 2}_1x1")(normed) + total
            levels[index] = getattr(self.mla, f"mla_p{index + 2}")(total)
        return levels


class MlaHead(nn.Module):
    def __init__(self, case, levels):
        super().__init__()
        self.fudan = case.model["vit"]["head"] == "fudan"
        self.mlahead = nn.Module()
        for index in range(levels):
            self.mlahead.add_module(f"head{index + 2}", nn.Sequential(*unit(256, 128, 3), *unit(128, 128, 3)))
        if self.fudan:
            self.cls = nn.Conv2d(128 * levels, case.classes, 3, padding=1)
        else:
            self.conv_seg = nn.Conv2d(128 * levels, case.classes, 1)

    def forward(self, levels):
        parts = [F.interpolate(getattr(self.mlahead, f"head{index + 2}")(level), scale_factor=4, mode="bilinear",
                               align_corners=self.fudan) for index, level in enumerate(levels)]
        return (self.cls if self.fudan else self.conv_seg)(torch.cat(parts, 1))


class SetrMla(nn.Module):
    def __init__(self, case):
        super().__init__()
        vit = case.model["vit"]
        self.case, self.weight, self.fudan = case, vit["auxiliary_weight"], vit["head"] == "fudan"
        self.backbone = MlaBackbone(case)
        levels = len(self.backbone.taps)
        self.decode_head = MlaHead(case, levels)
        if self.weight:
            self.auxiliary_head = nn.ModuleList(nn.Module() for _ in range(levels))
            for head in self.auxiliary_head:
                head.add_module("aux" if self.fudan else "conv_seg", nn.Conv2d(256, case.classes, 1, bias=not self.fudan))

    def forward(self, images, presence):
        levels = self.backbone(early_fusion(self.case, images, presence))
        heads = [Head("logits", self.decode_head(levels))]
        if self.weight and self.training:
            for index, (head, level) in enumerate(zip(self.auxiliary_head, levels)):
                logits = (head.aux if self.fudan else head.conv_seg)(level)
                heads.append(Head(f"auxiliary_head.{index}", logits, self.weight))
        return heads

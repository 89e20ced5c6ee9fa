"""Twin of src/nets/pkdiff.cpp: one pass of the recursion's network, with CADEF guided by the height modality."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .case import Head, early_fusion, segmentation_losses

HEAD_WIDTH = 32


class Block(nn.Module):
    def __init__(self, inner, channels):
        super().__init__()
        self.proj = nn.Conv2d(inner, channels, 3, padding=1)
        self.norm = nn.GroupNorm(8, channels)

    def forward(self, x):
        return F.silu(self.norm(self.proj(x)))


class ResidualBlock(nn.Module):
    def __init__(self, inner, channels, time=None):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time, channels)) if time else None
        self.block1 = Block(inner, channels)
        self.block2 = Block(channels, channels)
        self.res_conv = nn.Conv2d(inner, channels, 1)

    def forward(self, x, time=None):
        h = self.block1(x)
        if self.mlp is not None:
            h = h + self.mlp(time)[:, :, None, None]
        return self.block2(h) + self.res_conv(x)


class LinearAttention(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Conv2d(channels, 3 * heads * HEAD_WIDTH, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(heads * HEAD_WIDTH, channels, 1), nn.GroupNorm(1, channels))

    def forward(self, x):
        n, _, h, w = x.shape
        q, k, v = self.to_qkv(x).reshape(n, 3, self.heads, HEAD_WIDTH, h * w).unbind(1)
        q = q.softmax(2) * HEAD_WIDTH**-0.5
        context = torch.einsum("nhdp,nhep->nhde", k.softmax(3), v)
        return self.to_out(torch.einsum("nhde,nhdp->nhep", context, q).reshape(n, -1, h, w))


class PreNorm(nn.Module):
    def __init__(self, channels, fn):
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.fn = fn

    def forward(self, x):
        return self.fn(self.norm(x))


class Residual(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, x):
        return x + self.fn(x)


def attention_block(channels, heads):
    return Residual(PreNorm(channels, LinearAttention(channels, heads)))


class HeightKeys(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.mlp = nn.Conv2d(67, inner, 1)


class Cadef(nn.Module):
    def __init__(self, channels, level, heads, dual, gate, border):
        super().__init__()
        inner = heads * HEAD_WIDTH
        self.level, self.heads, self.dual = level, heads, dual
        self.falling = gate == "falling" and not dual
        self.replicates = border == "replicate" or dual
        self.to_q = nn.Conv2d(channels, inner, 1, bias=False)
        self.to_kv = nn.Conv2d(channels + 1, 2 * inner, 1, bias=False)
        self.to_out = nn.Conv2d(inner, channels, 1)
        self.hape = HeightKeys(inner)
        self.alpha_gen = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)) if level < 2 else None

    def forward(self, x, height, source=None):
        n, _, rows, columns = x.shape
        d = F.interpolate(height, (rows, columns), mode="bilinear", align_corners=False)
        low, high = d.amin((2, 3), True), d.amax((2, 3), True)
        d = (d - low) / (high - low + 1e-6)
        shrink = 4 >> self.level
        needed = 1
        while rows * columns > 4096 * needed**2:
            needed *= 2
        shrink = max(shrink, needed)

        def pool(value):
            return F.avg_pool2d(value, shrink) if shrink > 1 else value

        tokens, d = pool(x), pool(d)
        h, w = tokens.shape[2:]
        padded = F.pad(d, (1, 1, 1, 1), mode="replicate" if self.replicates else "constant")
        sobel = torch.tensor([[[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]])
        gradient = F.conv2d(padded, sobel[:, None].to(d))
        frequency = 10000 ** (-torch.arange(16, dtype=d.dtype) / 16)[:, None, None]
        at_x = torch.linspace(-1, 1, w, dtype=d.dtype)[None, None, :].expand(1, h, w) * frequency
        at_y = torch.linspace(-1, 1, h, dtype=d.dtype)[None, :, None].expand(1, h, w) * frequency
        code = torch.cat([at_x.sin(), at_x.cos(), at_y.sin(), at_y.cos()]).expand(n, -1, -1, -1)
        bias = self.hape.mlp(torch.cat([code, d, gradient], 1))
        known = pool(source) if source is not None else tokens
        k, v = self.to_kv(torch.cat([known, d], 1)).chunk(2, 1)

        def heads(value):
            return value.reshape(n, self.heads, HEAD_WIDTH, h * w)

        q, k, v = heads(self.to_q(tokens)), heads(k + bias), heads(v)
        scores = torch.einsum("nhdi,nhdj->nhij", q, k) * HEAD_WIDTH**-0.5
        o = torch.einsum("nhij,nhdj->nhdi", scores.softmax(3), v).reshape(n, -1, h, w)
        o = self.to_out(o)
        if shrink > 1:
            o = F.interpolate(o, (rows, columns), mode="bilinear", align_corners=False)
        if self.alpha_gen is not None:
            if shrink > 1:
                gradient = F.interpolate(gradient, (rows, columns), mode="bilinear", align_corners=False)
            if self.falling:
                gradient = gradient.clamp(min=0)
            slope = (gradient.square().sum(1, keepdim=True) + 1e-12).sqrt()
            o = o * torch.sigmoid(self.alpha_gen(slope))
        return x + o


class TimeCode(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.half = channels // 2

    def forward(self, t):
        k = torch.arange(self.half, dtype=t.dtype)
        angle = t[:, None] * torch.exp(-k * math.log(10000) / (self.half - 1))
        return torch.cat([angle.sin(), angle.cos()], 1)


class Pkdiff(nn.Module):
    def __init__(self, case):
        super().__init__()
        settings = case.model["diffusion"]
        width, heads = settings["width"], settings["heads"]
        self.case = case
        names = [modality.name for modality in case.modalities]
        self.band = None
        if settings["cadef"] != "off" and settings["height"] in names:
            self.band = sum(m.bands for m in case.modalities[:names.index(settings["height"])])
        time = 4 * width
        self.time_mlp = nn.Sequential(TimeCode(width), nn.Linear(width, time), nn.GELU(), nn.Linear(time, time))
        bands = sum(modality.bands for modality in case.modalities)

        def stem(inner, timed):
            return nn.ModuleList([ResidualBlock(inner, width, timed), ResidualBlock(width, width), ResidualBlock(width, width)])

        self.image_initial = stem(bands, time)
        self.seg_initial = stem(case.classes, time)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        dual = settings["cadef"] == "dual"
        if self.band is not None:
            self.cadef_blocks = nn.ModuleList(
                [Cadef(width << i, i, heads, dual, settings["gate"], settings["border"]) for i in range(3)])
        if self.band is not None and dual:
            self.height_initial = nn.ModuleList([ResidualBlock(1, width)])
            self.height_down = nn.ModuleList()
            for i in range(3):
                c = width << i
                parts = [ResidualBlock(c, c)] + ([nn.Conv2d(c, 2 * c, 4, 2, 1)] if i < 2 else [])
                self.height_down.append(nn.ModuleList(parts))
        for i in range(3):
            c = width << i
            self.down.append(nn.ModuleList([ResidualBlock(c, c, time), ResidualBlock(c, c), attention_block(c, heads),
                                            nn.Conv2d(c, 2 * c, 4, 2, 1)]))
        for i in range(3):
            c = width << 3 if i == 0 else width << (3 - i)
            inner = width << 3 if i == 0 else 2 * c
            self.up.append(nn.ModuleList([ResidualBlock(inner, c, time), ResidualBlock(c, c), attention_block(c, heads),
                                          nn.ConvTranspose2d(c, width << (2 - i), 4, 2, 1)]))
        self.final = nn.ModuleList([ResidualBlock(2 * width, width), ResidualBlock(width, width),
                                    nn.Conv2d(width, case.classes, 1)])

    def forward(self, image, noisy, t):
        time = self.time_mlp(t)

        def stem(blocks, x):
            return blocks[2](blocks[1](blocks[0](x, time)))

        x = stem(self.seg_initial, noisy) + stem(self.image_initial, image)
        height = None if self.band is None else image[:, self.band:self.band + 1]
        source = self.height_initial[0](height) if hasattr(self, "height_initial") else None
        skips = []
        for i, (first, second, attention, down) in enumerate(self.down):
            x = second(first(x, time))
            if height is not None:
                if source is not None:
                    source = self.height_down[i][0](source)
                x = self.cadef_blocks[i](x, height, source)
                if source is not None and i < 2:
                    source = self.height_down[i][1](source)
            x = attention(x)
            skips.append(x)
            x = down(x)
        for first, second, attention, up in self.up:
            x = torch.cat([up(attention(second(first(x, time)))), skips.pop()], 1)
        return self.final[2](self.final[1](self.final[0](x)))


def build(case):
    return Pkdiff(case)


def losses(model, inputs, case):
    images = {modality.name: inputs[modality.name] for modality in case.modalities}
    answer = model(early_fusion(case, images, inputs["presence"]), inputs["noisy"], inputs["time"])
    model.answer = answer.detach()
    return segmentation_losses(case, [Head("logits", answer)], inputs["labels"])


def outputs(model):
    return {"logits": model.answer}

"""Twin of src/nets/pkdiff.cpp: one pass of the recursion's network, with CADEF guided by the height modality, for
tests/parity; and of src/recipe: a whole mini-batch of the recursion (MiniBatch), for bench/pytorch_step.py."""

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


class Guide(nn.Module):
    """What one level's CADEF knows about the height: constant over the recursion, without gradient."""

    def __init__(self, level, gate, border):
        super().__init__()
        self.level, self.falling, self.replicates = level, gate == "falling", border == "replicate"

    def forward(self, height):
        n, _, rows, columns = height.shape
        rows, columns = rows >> self.level, columns >> self.level
        d = F.interpolate(height, (rows, columns), mode="bilinear", align_corners=False)
        low, high = d.amin((2, 3), True), d.amax((2, 3), True)
        d = (d - low) / (high - low + 1e-6)
        shrink = cadef_shrink(self.level, rows, columns)
        if shrink > 1:
            d = F.avg_pool2d(d, shrink)
        h, w = d.shape[2:]
        padded = F.pad(d, (1, 1, 1, 1), mode="replicate" if self.replicates else "constant")
        sobel = torch.tensor([[[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]])
        gradient = F.conv2d(padded, sobel[:, None].to(d))
        frequency = 10000 ** (-torch.arange(16, dtype=d.dtype) / 16)[:, None, None]
        at_x = torch.linspace(-1, 1, w, dtype=d.dtype)[None, None, :].expand(1, h, w) * frequency
        at_y = torch.linspace(-1, 1, h, dtype=d.dtype)[None, :, None].expand(1, h, w) * frequency
        code = torch.cat([at_x.sin(), at_x.cos(), at_y.sin(), at_y.cos()]).expand(n, -1, -1, -1)
        if shrink > 1:
            full = F.interpolate(gradient, (rows, columns), mode="bilinear", align_corners=False)
        else:
            full = gradient
        if self.falling:
            full = full.clamp(min=0)
        slope = (full.square().sum(1, keepdim=True) + 1e-12).sqrt()
        return torch.cat([code, d, gradient], 1), slope


def cadef_shrink(level, rows, columns):
    needed = 1
    while rows * columns > 4096 * needed**2:
        needed *= 2
    return max(4 >> level, needed)


def attention(q, k, v):
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return (q @ k.transpose(2, 3) * q.shape[3]**-0.5).softmax(3) @ v  # PyTorch before 2.0


class Cadef(nn.Module):
    def __init__(self, channels, level, heads):
        super().__init__()
        inner = heads * HEAD_WIDTH
        self.level, self.heads = level, heads
        self.to_q = nn.Conv2d(channels, inner, 1, bias=False)
        self.to_kv = nn.Conv2d(channels + 1, 2 * inner, 1, bias=False)
        self.to_out = nn.Conv2d(inner, channels, 1)
        self.hape = HeightKeys(inner)
        self.alpha_gen = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)) if level < 2 else None

    def forward(self, x, guide, source=None):
        encoding, slope = guide
        n, _, rows, columns = x.shape
        shrink = cadef_shrink(self.level, rows, columns)

        def pool(value):
            return F.avg_pool2d(value, shrink) if shrink > 1 else value

        tokens = pool(x)
        h, w = tokens.shape[2:]
        known = pool(source) if source is not None else tokens
        k, v = self.to_kv(torch.cat([known, encoding[:, 64:65]], 1)).chunk(2, 1)

        def heads(value):
            return value.reshape(n, self.heads, HEAD_WIDTH, h * w).transpose(2, 3)

        o = attention(heads(self.to_q(tokens)), heads(k + self.hape.mlp(encoding)), heads(v))
        o = self.to_out(o.transpose(2, 3).reshape(n, -1, h, w))
        if shrink > 1:
            o = F.interpolate(o, (rows, columns), mode="bilinear", align_corners=False)
        if self.alpha_gen is not None:
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
        if settings["cadef"] != "off":
            synonyms = ["height", "dsm", "ndsm"]
            wanted = [settings["height"]] + (synonyms if settings["height"] in synonyms else [])
            height = next(name for name in wanted if name in names)
            self.band = sum(m.bands for m in case.modalities[:names.index(height)])
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
            self.cadef_blocks = nn.ModuleList([Cadef(width << i, i, heads) for i in range(3)])
            self.guide_levels = nn.ModuleList([Guide(i, "all" if dual else settings["gate"],
                                                     "replicate" if dual else settings["border"]) for i in range(3)])
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

    @torch.no_grad()
    def guides(self, image):
        if self.band is None:
            return None
        height = image[:, self.band:self.band + 1]
        return [level(height) for level in self.guide_levels]

    def forward(self, image, noisy, t, guides):
        time = self.time_mlp(t)

        def stem(blocks, x):
            return blocks[2](blocks[1](blocks[0](x, time)))

        x = stem(self.seg_initial, noisy) + stem(self.image_initial, image)
        dual = hasattr(self, "height_initial")
        source = self.height_initial[0](image[:, self.band:self.band + 1]) if dual else None
        skips = []
        for i, (first, second, attention, down) in enumerate(self.down):
            x = second(first(x, time))
            if guides is not None:
                if source is not None:
                    source = self.height_down[i][0](source)
                x = self.cadef_blocks[i](x, guides[i], source)
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
    image = early_fusion(case, images, inputs["presence"])
    answer = model(image, inputs["noisy"], inputs["time"], model.guides(image))
    model.answer = answer.detach()
    return segmentation_losses(case, [Head("logits", answer)], inputs["labels"])


def outputs(model):
    return {"logits": model.answer}


class Discrepancy:
    """src/ops/kernel_discrepancy.hpp as configured by default: unbiased, Gaussian directions, X drawn, Y all targets
    as the few vectors that occur with their counts. What depends on Y alone is computed once per mini-batch."""

    def __init__(self, target, settings):
        self.samples, self.bandwidth = settings["pk_samples"], settings["pk_bandwidth"]
        self.atoms, counts = target.permute(0, 2, 3, 1).reshape(-1, target.shape[1]).unique(dim=0, return_counts=True)
        self.pixels = int(counts.sum())
        self.share = counts.float() / self.pixels
        among = self.kernel(self.atoms, self.atoms) * self.share[:, None] * self.share[None, :]
        self.among_targets = (among.sum() - 1 / self.pixels) * self.pixels / (self.pixels - 1)

    def kernel(self, a, b):
        squares = a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2 * a @ b.T
        return (1 + squares.clamp(min=0) / self.bandwidth**2).rsqrt()

    def __call__(self, shares):
        x = shares.permute(0, 2, 3, 1).reshape(-1, shares.shape[1])
        x = x[torch.randperm(x.shape[0])[:self.samples]]
        n = x.shape[0]
        among = (self.kernel(x, x).sum() - n) / (n * (n - 1))
        return among + self.among_targets - 2 * (self.kernel(x, self.atoms) @ self.share).mean()


def patches_of(x, edge):
    """Patch-major list of [N, C, edge, edge]."""
    return [part for rows in x.split(edge, 2) for part in rows.split(edge, 3)]


def joined(patches, columns):
    rows = [torch.cat(patches[i:i + columns], 3) for i in range(0, len(patches), columns)]
    return torch.cat(rows, 2)


class MiniBatch:
    """All passes of one mini-batch with an optimizer update each (src/recipe/diffusion.cpp), with its defaults:
    state on the simplex, replaced by each answer. Everything that is constant over the timesteps is computed once."""

    def __init__(self, model, case, optimizer, precision, wrap):
        self.model, self.case, self.optimizer, self.precision = model, case, optimizer, precision
        self.settings = case.model["diffusion"]
        self.answer = wrap(model)
        self.timesteps = self.settings["timesteps"] or (4 if self.settings["preset"] == "fast" else 25)
        self.reductions = [1 << i for i in reversed(range(self.settings["scales"]))]

    @torch.no_grad()
    def prepare(self, images, presence, labels):
        image = early_fusion(self.case, images, presence)
        one_hot = F.one_hot(labels, self.case.classes).permute(0, 3, 1, 2).float()
        scales = []
        for reduction in self.reductions:
            size = labels.shape[1] // reduction
            edge = min(self.settings["max_patch"], size)
            if reduction == 1:
                parts = patches_of(image, edge), patches_of(one_hot, edge)
            else:
                parts = [patches_of(F.interpolate(x, (size, size), mode="bilinear", align_corners=False), edge)
                         for x in (image, one_hot)]
            guides = [self.model.guides(patch) for patch in parts[0]]
            discrepancies = [Discrepancy(target, self.settings) for target in parts[1]]
            scales.append((size, edge, list(zip(parts[0], parts[1], guides, discrepancies))))
        return scales

    def step(self, images, presence, labels):
        scales = self.prepare(images, presence, labels)
        state = torch.rand(labels.shape[0], self.case.classes, *labels.shape[1:])
        passes = self.timesteps * len(scales)
        for number in range(passes):
            size, edge, patches = scales[number % len(scales)]
            time = torch.tensor([1 - number / passes])
            with torch.no_grad():
                if state.shape[2] != size:
                    state = F.interpolate(state, (size, size), mode="bilinear", align_corners=False)
                noisy = (state.softmax(1) + time * torch.randn_like(state)).clamp(0, 1)
            answers = []
            self.optimizer.zero_grad()
            for x, (image, target, guides, discrepancy) in zip(patches_of(noisy, edge), patches):
                with torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                    answer = self.answer(image, x, time, guides)
                estimate = x - answer.float()
                shares = estimate.clamp(min=1e-6)
                shares = shares / shares.sum(1, keepdim=True)
                loss = (estimate - target).square().mean() + self.settings["pk_weight"] * discrepancy(shares)
                (loss / len(patches)).backward()
                answers.append(shares.detach())
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            state = joined(answers, size // edge)

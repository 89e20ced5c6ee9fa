"""What a twin is built for and what it returns: shared by every twin, by tests/parity and by bench/pytorch_step.py."""

import tomllib
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class ModalityInput:
    name: str
    bands: int
    scale: int = 1


@dataclass
class Case:
    """`config` is the configuration's nested tables ("model", "loss", "optim" ...) with every value filled in."""

    config: dict
    modalities: list
    classes: int
    height: int = 0
    width: int = 0

    @property
    def model(self):
        return self.config["model"]

    @property
    def bands(self):
        return sum(modality.bands for modality in self.modalities)


def read_config(text):
    """The configuration that terrane printed as TOML."""
    return tomllib.loads(text)


@dataclass
class Head:
    """Logits as a twin's forward returns them: the first is the main head ("logits"), others are auxiliary heads by
    terrane's names ("auxiliary_head")."""

    name: str
    logits: torch.Tensor
    weight: float = 1.0
    align_corners: bool = False


def early_fusion(case, images, presence):
    """src/nets/early_fusion.cpp: every modality on the reference grid, times its presence, joined."""
    parts = []
    for index, modality in enumerate(case.modalities):
        image = images[modality.name]
        if modality.scale != 1:
            size = [edge * modality.scale for edge in image.shape[2:]]
            image = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
        if len(case.modalities) > 1:
            image = image * presence[:, index].reshape(-1, 1, 1, 1).to(image.dtype)
        parts.append(image)
    return torch.cat(parts, 1)


def cross_entropy(logits, labels, smoothing, normalise):
    total = F.cross_entropy(logits, labels, ignore_index=255, label_smoothing=smoothing, reduction="sum")
    return total / (labels.numel() if normalise == "all" else (labels != 255).sum())


def dice(logits, labels, smooth=1.0):
    """src/ops/dice.hpp: over the whole batch, mean of the classes that occur."""
    valid = labels != 255
    classes = logits.shape[1]
    p = logits.softmax(1) * valid[:, None]
    truth = F.one_hot(torch.where(valid, labels, 0), classes).permute(0, 3, 1, 2) * valid[:, None]
    intersection, p_sum, t_sum = ((p * truth).sum((0, 2, 3)), p.sum((0, 2, 3)), truth.sum((0, 2, 3)))
    scores = (2 * intersection + smooth) / (p_sum + t_sum + smooth)
    return 1 - scores[t_sum > 0].mean()


def segmentation_losses(case, heads, labels):
    """Every term of [[loss.terms]] on every head, at the labels' resolution, in fp32 or better:
    {name of terrane's node: (value, weight)}; the training loss is the weighted sum."""
    loss, labels, result = case.config["loss"], labels.long(), {}
    for head in heads:
        logits = head.logits if head.logits.dtype == torch.float64 else head.logits.float()
        full = F.interpolate(logits, size=labels.shape[1:], mode="bilinear", align_corners=head.align_corners)
        prefix = "loss." if head.name == "logits" else f"loss.{head.name}."
        for term in loss["terms"]:
            if term["name"] == "cross_entropy":
                value = cross_entropy(full, labels, loss["label_smoothing"], loss["normalise"])
            elif term["name"] == "dice":
                value = dice(full, labels, term.get("smooth", 1.0))
            else:
                raise KeyError(f"the twins lack the loss {term['name']}")
            result[prefix + term["name"]] = (value, head.weight * term["weight"])
    return result


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

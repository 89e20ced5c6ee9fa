"""The losses over class maps against PyTorch expressions of the published formulas, values and gradients in double.

usage: losses_as_pytorch.py LOSS_DUMP     exit code 77: PyTorch is not installed here
"""

import json
import subprocess
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("SKIPPED: PyTorch is not installed for this Python")
    sys.exit(77)


def one_hot(labels, classes):
    valid = labels < classes
    return F.one_hot(labels.clamp(max=classes - 1), classes).permute(0, 3, 1, 2).double() * valid[:, None]


def cross_entropy(logits, labels, weights):
    return F.cross_entropy(logits, labels, weights, ignore_index=255, reduction="sum", label_smoothing=0.1)


def focal(logits, labels, weights):
    valid = labels != 255
    log_p = F.log_softmax(logits, 1).gather(1, labels.clamp(max=logits.shape[1] - 1)[:, None])[:, 0][valid]
    return (weights[labels[valid]] * (1 - log_p.exp()) ** 2 * -log_p).sum()


def total_weight(labels, weights):
    return weights[labels[labels != 255]].sum()


def overlap(logits, labels, weights, alpha, beta, smooth, exponent, dims):
    """Over the batch (dims 0, 2, 3) the mean of the classes present, over images (2, 3) of all."""
    truth = one_hot(labels, logits.shape[1])
    p = logits.softmax(1) * (labels != 255)[:, None]
    hits, p_sum, t_sum = (p * truth).sum(dims), p.sum(dims), truth.sum(dims)
    score = (hits + smooth) / (hits + alpha * (p_sum - hits) + beta * (t_sum - hits) + smooth)
    loss = (1 - score) ** exponent
    if 0 in dims:
        loss = loss[t_sum > 0]
    return total_weight(labels, weights) * loss.mean()


def lovasz_of_score(p, labels):
    """p [K, pixels], labels [pixels], valid pixels only."""
    losses = []
    for c in labels.unique():
        truth = (labels == c).double()
        errors, order = (truth - p[c]).abs().sort(descending=True)
        truth = truth[order]
        jaccard = 1 - (truth.sum() - truth.cumsum(0)) / (truth.sum() + (1 - truth).cumsum(0))
        growth = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        losses.append((errors * growth).sum())
    return torch.stack(losses).mean()


def lovasz(logits, labels, weights, over_batch=False):
    p = logits.softmax(1)
    if over_batch:
        valid = labels != 255
        loss = lovasz_of_score(p.permute(1, 0, 2, 3)[:, valid], labels[valid])
    else:
        loss = torch.stack([lovasz_of_score(q[:, t != 255], t[t != 255]) for q, t in zip(p, labels)]).mean()
    return total_weight(labels, weights) * loss


def signed_distances(region):
    """Of a mask [H, W], by the distances between all pairs of pixels."""
    places = torch.stack(torch.meshgrid(*[torch.arange(n) for n in region.shape], indexing="ij"), -1).double()
    result = torch.zeros(region.shape, dtype=torch.float64)
    if region.any() and not region.all():
        inside, outside = places[region], places[~region]
        result[~region] = torch.cdist(outside, inside).min(1).values
        result[region] = 1 - torch.cdist(inside, outside).min(1).values
    return result


def boundary(logits, labels, weights):
    maps = torch.stack([torch.stack([signed_distances(t == c) for c in range(logits.shape[1])]) for t in labels])
    pixel_weights = torch.where(labels == 255, torch.zeros(()).double(), weights[labels.clamp(max=len(weights) - 1)])
    return (pixel_weights[:, None] * maps * logits.softmax(1)).sum()


LOSSES = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "dice": lambda *inputs: overlap(*inputs, 0.5, 0.5, 0.5, 1, (0, 2, 3)),
    "dice_over_images": lambda *inputs: overlap(*inputs, 0.5, 0.5, 0.5, 1, (2, 3)),
    "tversky": lambda *inputs: overlap(*inputs, 0.3, 0.7, 1, 1.5, (0, 2, 3)),
    "lovasz": lovasz,
    "lovasz_over_batch": lambda *inputs: lovasz(*inputs, over_batch=True),
    "boundary": boundary,
}


def main():
    seen, wrong = set(), []
    for line in subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout.splitlines():
        case = json.loads(line)
        seen.add(case["name"])
        logits = torch.tensor(case["logits"], dtype=torch.float64).reshape(case["shape"]).requires_grad_()
        n, h, w, _ = case["shape"]
        factor = case["factor"]
        labels = torch.tensor(case["labels"]).long().reshape(n, factor * h, factor * w)
        weights = torch.tensor(case["weights"], dtype=torch.float64)
        upsampled = F.interpolate(logits.permute(0, 3, 1, 2), scale_factor=factor, mode="bilinear", align_corners=False)
        loss = LOSSES[case["name"]](upsampled, labels, weights)
        loss.backward()
        ours = torch.tensor(case["gradient"], dtype=torch.float64).reshape(logits.shape)
        errors = (abs(case["loss"] / loss.item() - 1), ((ours - logits.grad).norm() / logits.grad.norm()).item())
        print(f"{case['name']:18} loss {loss.item():10.5f}  relative difference {errors[0]:.2g}, gradient {errors[1]:.2g}")
        if not max(errors) <= 1e-9:
            wrong.append(case["name"])
    assert seen == set(LOSSES), seen
    if wrong:
        print("FAILED:", ", ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

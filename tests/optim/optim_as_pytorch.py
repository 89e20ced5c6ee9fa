"""terrane's schedules and optimizers against PyTorch's own.

usage: optim_as_pytorch.py OPTIM_DUMP     exit code 77: PyTorch is not installed here
"""

import collections
import math
import subprocess
import sys

try:
    import torch
except ImportError:
    print("SKIPPED: PyTorch is not installed for this Python")
    sys.exit(77)

STEPS, STEPS_PER_EPOCH = 60, 6
schedulers = torch.optim.lr_scheduler


def rates(make, by_epoch=False, score=None):
    """The rate before every step, the scheduler being stepped after each step, or after each epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(optimizer)
    seen = []
    for step in range(STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if score is not None:
            scheduler.step(score(step))
        elif not by_epoch or (step + 1) % STEPS_PER_EPOCH == 0:
            scheduler.step()
    return seen


def plateau_score(step):
    return 0.05 * step if step < 10 else 0.45 if step < 40 else 0.47


def updates(make):
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64))
    optimizer = make([w])
    seen = []
    for step in range(10):
        w.grad = torch.tensor([math.sin(step + i) for i in range(4)], dtype=torch.float64)
        optimizer.step()
        seen.append(w.detach().tolist())
    return seen


EXPECTED_RATES = {
    "cosine": rates(lambda o: schedulers.CosineAnnealingLR(o, T_max=STEPS, eta_min=0.01)),
    "cosine_by_epoch": rates(lambda o: schedulers.CosineAnnealingLR(o, T_max=STEPS // STEPS_PER_EPOCH), by_epoch=True),
    "poly": rates(lambda o: schedulers.LambdaLR(o, lambda t: (1 - t / STEPS) ** 0.9)),
    "step_by_epoch": rates(lambda o: schedulers.StepLR(o, 3, 0.1), by_epoch=True),
    "linear_warmup": rates(lambda o: schedulers.LinearLR(o, start_factor=0.1, total_iters=12)),
    "constant_warmup": rates(lambda o: schedulers.ConstantLR(o, factor=0.25, total_iters=12)),
    "plateau": rates(lambda o: schedulers.ReduceLROnPlateau(o, mode="max", factor=0.5, patience=4, threshold=0.01,
                                                            threshold_mode="abs", min_lr=0.002), score=plateau_score),
}
EXPECTED_UPDATES = {
    "sgd": updates(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05)),
    "adam": updates(lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.05)),
    "adamw": updates(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.05)),
}


def main():
    seen = collections.defaultdict(list)
    for line in subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout.splitlines():
        case, _, *values = line.split()
        seen[case].append([float(value) for value in values])
    wrong = []
    for expected, tolerance in ((EXPECTED_RATES, 1e-12), (EXPECTED_UPDATES, 2e-6)):
        for case, values in expected.items():
            values = [value if isinstance(value, list) else [value] for value in values]
            assert len(values) == len(seen[case]), case
            worst = max(abs(a - b) for ours, theirs in zip(seen[case], values) for a, b in zip(ours, theirs))
            print(f"{case:16} largest difference {worst:.2g}")
            if not worst <= tolerance:
                wrong.append(case)
    if wrong:
        print("FAILED:", ", ".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Convolutions of a network, forward and backward: terrane against PyTorch, alternated in one run.

Both run the same shapes with the same number of threads, channels-last in PyTorch as in terrane, random numbers, the
least of many repetitions. PyTorch gets f32 weights in channels_last for fp32 and bf16 weights for bf16, as autocast
would hand them over; its packing of the weights is part of every call, so terrane's packing is added to its forward
time. Prints a table, writes JSON.

    bench/pytorch_ops.py --terrane build/release/terrane --precision bf16
"""

import argparse
import json
import os
import subprocess
import time

import torch


def best_seconds(work, repetitions):
    work()
    best = float("inf")
    for _ in range(repetitions):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def shape_of(text):
    return [int(part) for part in text.strip("[]").split(",")]


class TorchConvolution:
    def __init__(self, row, dtype):
        n, h, w, c = shape_of(row["inputs"][0])
        k, r, _, group_channels = shape_of(row["inputs"][1])
        conv = row["convolution"]
        self.data_gradient = conv["data_gradient"]
        last = torch.channels_last
        self.x = torch.randn(n, c, h, w, dtype=dtype).contiguous(memory_format=last)
        self.weight = torch.randn(k, group_channels, r, r, dtype=dtype).contiguous(memory_format=last)
        self.arguments = dict(stride=conv["stride"], padding=conv["padding"], dilation=conv["dilation"], groups=conv["groups"])
        self.dy = torch.randn_like(self.forward())

    def forward(self):
        with torch.no_grad():
            return torch.nn.functional.conv2d(self.x, self.weight, **self.arguments)

    def backward(self):
        a = self.arguments
        return torch.ops.aten.convolution_backward(
            self.dy, self.x, self.weight, None, [a["stride"]] * 2, [a["padding"]] * 2, [a["dilation"]] * 2, False, [0, 0],
            a["groups"], [self.data_gradient, True, False])


def run_terrane(options, threads):
    command = [options.terrane, "bench", "ops", "--network", options.network, "--batch", str(options.batch), "--crop",
               str(options.crop), "--precision", options.precision, "--repetitions", str(options.repetitions)]
    output = subprocess.run(command, check=True, capture_output=True, text=True,
                            env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    return json.loads(output.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terrane", required=True, help="the terrane binary")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32

    rows = {}
    for _ in range(options.rounds):
        for row in run_terrane(options, options.threads)["ops"]:
            if "convolution" not in row:
                continue
            entry = rows.setdefault(row["name"], {"name": row["name"], "count": row["count"],
                                                  "implementation": row["implementation"], "forward": 1e9, "backward": 1e9,
                                                  "pack": 1e9, "torch_forward": 1e9, "torch_backward": 1e9})
            twin = TorchConvolution(row, dtype)
            for key, value in (("forward", row["forward_seconds"]), ("backward", row["backward_seconds"]),
                               ("pack", row["pack_seconds"]),
                               ("torch_forward", best_seconds(twin.forward, options.repetitions)),
                               ("torch_backward", best_seconds(twin.backward, options.repetitions))):
                entry[key] = min(entry[key], value)

    print(f"{'convolution':36}{'n':>3}{'fwd ms':>9}{'torch':>9}{'ratio':>7}{'bwd ms':>9}{'torch':>9}{'ratio':>7}{'pack ms':>9}")
    sums = [0.0, 0.0]
    for e in rows.values():
        forward = e["forward"] + e["pack"]
        print(f"{e['name']:36}{e['count']:3}{1e3 * forward:9.3f}{1e3 * e['torch_forward']:9.3f}"
              f"{e['torch_forward'] / forward:7.2f}{1e3 * e['backward']:9.3f}{1e3 * e['torch_backward']:9.3f}"
              f"{e['torch_backward'] / e['backward']:7.2f}{1e3 * e['pack']:9.3f}")
        sums[0] += e["count"] * (forward + e["backward"])
        sums[1] += e["count"] * (e["torch_forward"] + e["torch_backward"])
    print(f"sum {1e3 * sums[0]:.2f} ms, torch {torch.__version__} {1e3 * sums[1]:.2f} ms, ratio {sums[1] / sums[0]:.2f}")
    if options.output:
        with open(options.output, "w") as file:
            json.dump({"options": vars(options), "torch": torch.__version__, "ops": list(rows.values()),
                       "seconds": sums[0], "torch_seconds": sums[1]}, file, indent=2)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""One training step of a network: terrane against its PyTorch twin, alternated in one run.

For pkdiff a step is a whole mini-batch: all passes of the recursion, its own losses, an update after each.
Every round times terrane (fp32 and bf16) and every PyTorch setting that is ready, of {fp32, bf16} x {contiguous, channels_last} x
{eager, compile ...}, so that a neighbour's load hits all of them alike. On a GPU (--device cuda) torch.compile is also
tried with reduce-overhead and max-autotune, both sides wait for the device after every step, and PyTorch's fp32 may use
TF32 in convolutions, as is its default. Same network, batch, loss (cross-entropy of every
head at the labels' resolution) and optimizer (AdamW). The network's options come from the terrane binary itself, so
that both sides build the same. Prints a table, writes JSON.

    bench/pytorch_step.py --terrane build/release/terrane --output bench/results/step_cpu.json
    bench/pytorch_step.py --terrane build/release/terrane --model pspnet --encoder resnet50 --modality optical:3 \\
        --batch 2 --size 256
"""

import argparse
import importlib
import inspect
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from twins.case import Case, ModalityInput, read_config, segmentation_losses  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terrane", required=True, help="the terrane binary")
    parser.add_argument("--model", default="duet")
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--modality", action="append", help="name:bands[:scale], repeatable")
    parser.add_argument("--set", action="append", default=[], help="key=value for both sides, repeatable")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="timed steps per round and setting")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", action="append", choices=["fp32", "bf16"], help="repeatable; default: both")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--prepare", action="store_true",
                        help="only compile what is compiled, into PyTorch's cache; several networks can do so at once")
    parser.add_argument("--budget", type=float, default=float("inf"),
                        help="seconds; settings that are not ready and rounds that are not begun by then are left out")
    parser.add_argument("--output")
    return parser.parse_args()


def modalities(options):
    texts = options.modality or ["optical:4:1", "height:1:2", "sar:2:4"]
    parts = [text.split(":") for text in texts]
    return [ModalityInput(part[0], int(part[1]), int(part[2]) if len(part) > 2 else 1) for part in parts]


class TorchSetting:
    """A model and optimizer of its own per setting."""

    def __init__(self, options, case, precision, layout, mode):
        self.name = f"pytorch {precision} {layout} {mode}"
        self.precision = precision
        torch.manual_seed(0)
        inputs = case.modalities
        self.case = case
        twin = importlib.import_module(f"twins.{case.model['name']}")
        self.model = twin.build(case).train()
        size, batch = options.size, options.batch
        self.device = options.device
        self.model = self.model.to(self.device)
        self.images = {m.name: torch.randn(batch, m.bands, size // m.scale, size // m.scale).to(self.device) for m in inputs}
        self.labels = torch.randint(0, options.classes, (batch, size, size)).to(self.device)
        self.presence = torch.ones(batch, len(inputs)).to(self.device)
        shape = (batch, size, size)
        self.maps = {f"{name}_distance": torch.randint(0, 256, shape, dtype=torch.uint8).to(self.device)
                     for name in ("scribble", "pseudo")}
        for name, labelled in (("scribble", 0.05), ("pseudo", 0.8)):
            gaps = torch.rand(shape) > labelled
            self.maps[name] = torch.randint(0, options.classes, shape).masked_fill(gaps, 255).to(self.device)
        if layout == "channels_last":
            self.model = self.model.to(memory_format=torch.channels_last)
            self.images = {name: x.to(memory_format=torch.channels_last) for name, x in self.images.items()}
        self.inputs = {**self.images, **self.maps, "presence": self.presence, "labels": self.labels}
        # PyTorch has had a fused AdamW since 2.0, on CPUs since 2.4.
        fused = {"fused": True} if "fused" in inspect.signature(torch.optim.AdamW).parameters else {}
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-3, weight_decay=0.01, **fused)
        modes = {"eager": lambda call: call, "compile": lambda call: torch.compile(call)}
        wrap = modes.get(mode) or (lambda call: torch.compile(call, mode=mode))
        self.mini_batch = None
        if hasattr(twin, "MiniBatch"):
            self.mini_batch = twin.MiniBatch(self.model, case, self.optimizer, precision, wrap)
        elif hasattr(twin, "losses"):
            self.own_losses = twin.losses
            self.forward = wrap(self.loss_of_its_own)
        else:
            self.forward = wrap(self.loss)

    def loss_of_its_own(self):
        """Networks with losses over more than the labels; scribbles on 5 % of the pixels, pseudo-labels on 80 %."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            values = self.own_losses(self.model, self.inputs, self.case)
        return sum(value * weight for value, weight in values.values())

    def loss(self):
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            heads = self.model(self.images, self.presence)
        values = segmentation_losses(self.case, heads, self.labels)
        return sum(value * weight for value, weight in values.values())

    def step(self):
        if self.mini_batch is not None:
            self.mini_batch.step(self.images, self.presence, self.labels)
        else:
            loss = self.forward()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def synchronise(self):
        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self, steps):
        """Of each step; on a GPU their mean, since nothing waits for the device between steps, neither here nor in terrane."""
        if self.device != "cuda":
            marks = [time.perf_counter()]
            for _ in range(steps):
                self.step()
                marks.append(time.perf_counter())
            return [end - begin for begin, end in zip(marks, marks[1:])]
        self.synchronise()
        begin = time.perf_counter()
        for _ in range(steps):
            self.step()
        self.synchronise()
        return [(time.perf_counter() - begin) / steps] * steps


def terrane_settings(options):
    settings = [f"model.name={options.model}", f"model.encoder={options.encoder}", f"model.encoder_width={options.width}",
                "model.dropout=0.0"] + options.set
    return [word for setting in settings for word in ("-s", setting)]


def case_of(options):
    """The configuration as terrane resolves it, for the twin."""
    command = [options.terrane, "config", "print"] + terrane_settings(options)
    config = read_config(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return Case(config, modalities(options), options.classes, options.size, options.size)


def terrane_seconds(options, precision):
    command = [options.terrane, "bench", "step", "--precision", precision, "--batch", str(options.batch), "--size",
               str(options.size), "--classes", str(options.classes), "--steps", str(options.steps), "--threads",
               str(options.threads), "--device", options.device] + terrane_settings(options)
    for modality in modalities(options):
        command += ["--modality", f"{modality.name}:{modality.bands}:{modality.scale}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def settings_of(options):
    """What of PyTorch is tried, the likely best first."""
    precisions = options.precision or ["fp32", "bf16"]
    on_gpu = options.device == "cuda"
    modes = [] if options.prepare else ["eager"]
    if not options.no_compile:
        modes += ["compile"] + (["reduce-overhead"] if on_gpu else [])
        # Its search times kernels, which others would disturb.
        modes += ["max-autotune"] if on_gpu and not options.prepare else []
    layouts = ["channels_last", "contiguous"]
    # On tensor cores contiguous convolutions take twice as long: not worth the minutes that compiling them takes.
    return [(precision, layout, mode) for mode in modes for precision in reversed(precisions) for layout in layouts
            if layout == "channels_last" or mode == "eager" or not on_gpu]


class Comparison:
    """What was measured so far. It is written down after every round, so that a run that is cut off leaves something."""

    def __init__(self, options, case):
        self.options, self.case, self.end = options, case, time.monotonic() + options.budget
        self.precisions = options.precision or ["fp32", "bf16"]
        self.settings, self.left_out, self.details, self.seconds = [], [], {}, {}

    def is_late(self, share):
        """Whether that share of the budget is spent."""
        return time.monotonic() > self.end - (1 - share) * min(self.options.budget, 1e9)

    def prepare(self, precision, layout, mode):
        name = f"pytorch {precision} {layout} {mode}"
        if self.is_late(0.7):
            self.left_out.append(name)
            return
        try:
            setting = TorchSetting(self.options, self.case, precision, layout, mode)
            setting.step(), setting.step(), setting.synchronise()
            self.settings.append(setting)
        except Exception as error:  # a setting PyTorch can't run here is reported, not hidden
            self.left_out.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
            print(self.left_out[-1], file=sys.stderr)

    def round(self):
        for precision in self.precisions:
            try:
                self.details[precision] = terrane_seconds(self.options, precision)
            except subprocess.CalledProcessError as error:
                self.left_out.append(f"terrane {precision}: {error.stderr.strip()[-500:]}")
                continue
            self.seconds.setdefault(f"terrane {precision}", []).extend(self.details[precision]["seconds"])
        for setting in self.settings:
            setting.step()
            self.seconds.setdefault(setting.name, []).extend(setting.seconds(self.options.steps))
        if self.options.output:
            with open(self.options.output + ".part", "w") as file:
                json.dump(self.report(), file, indent=1)
            os.replace(self.options.output + ".part", self.options.output)

    def report(self):
        options, model = self.options, self.case.model
        rows = [{"setting": name, "min": min(values), "median": statistics.median(values), "count": len(values)}
                for name, values in sorted(self.seconds.items())]
        report = {"command": sys.argv, "torch": torch.__version__, "machine": platform.processor() or platform.machine(),
                  "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu", "left_out": self.left_out,
                  "threads": options.threads, "model": model["name"], "encoder": model["encoder"], "width": options.width,
                  "batch": options.batch, "size": options.size, "classes": options.classes,
                  "modalities": [vars(m) for m in modalities(options)], "terrane": self.details, "rows": rows}
        for precision in self.precisions:
            rivals = [row for row in rows if row["setting"].startswith(f"pytorch {precision}")]
            ours = next((row for row in rows if row["setting"] == f"terrane {precision}"), None)
            if not rivals or ours is None:
                continue
            best = min(rivals, key=lambda row: row["min"])
            report[f"ratio_{precision}"] = {"min": best["min"] / ours["min"],
                                            "median": min(row["median"] for row in rivals) / ours["median"], "best": best["setting"]}
        return report

    def show(self):
        report = self.report()
        print(f"{'setting':40} {'min s':>8} {'median s':>9}")
        for row in report["rows"]:
            print(f"{row['setting']:40} {row['min']:8.4f} {row['median']:9.4f}")
        for line in self.left_out:
            print(f"left out: {line}")
        for precision in self.precisions:
            ratio = report.get(f"ratio_{precision}")
            if ratio:
                print(f"{precision}: {ratio['min']:.2f}x by minimum, {ratio['median']:.2f}x by median (against {ratio['best']})")


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    if options.device != "cpu":
        torch.set_default_device(options.device)  # twins make numbers of their own
    comparison = Comparison(options, case_of(options))
    rounds = 0
    # A round after each mode, the first of which are ready in seconds and the last, perhaps, never.
    for mode, settings in itertools.groupby(settings_of(options), key=lambda setting: setting[2]):
        for setting in settings:
            comparison.prepare(*setting)
        if options.prepare:
            comparison.settings.clear()
        elif rounds == 0 or not comparison.is_late(1):
            comparison.round()
            rounds += 1
    while rounds < options.rounds and not options.prepare and not comparison.is_late(1):
        comparison.round()
        rounds += 1
    if not options.prepare:
        comparison.show()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Training steps with a frozen encoder: computed in every step, and read from the features that were kept.

    bench/feature_cache.py --terrane build/cpu-release/terrane --work FOLDER --output bench/results/feature_cache.json

Makes a synthetic scene and its tiles, gives the encoder random weights by a run of one step, and trains the decoder three
times with equal seeds: without features, with features that have to be computed first, and with those that are there. Tiles per
second are those of the training steps (metrics.csv); the losses of all runs are compared, the evaluation's among them.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def processor_seconds():
    """Of all processes that have ended: what a busy machine does not falsify."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command):
    print("$", " ".join(str(word) for word in command), flush=True)
    wall, cpu = time.monotonic(), processor_seconds()
    subprocess.run([str(word) for word in command], check=True)
    return {"seconds": time.monotonic() - wall, "processor seconds": processor_seconds() - cpu}


def last_row(folder):
    with next(folder.rglob("metrics.csv")).open() as file:
        return list(csv.DictReader(file))[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terrane", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--size", type=int, default=896)
    parser.add_argument("--tile", type=int, default=224)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    terrane, work = arguments.terrane, arguments.work
    scene = work / "scene" / "scene.toml"
    run([terrane, "data", "synth", "-o", work / "scene", "--size", arguments.size, "--seed", 3, "--overwrite"])
    settings = ["-c", scene, "-s", f"grid.tile={arguments.tile}", "-s", f"data.tiles={work / 'tiles'}", "-s", "model.name=setr_light",
                "-s", f"model.vit.depth={arguments.depth}", "-s", f"model.vit.width={arguments.width}",
                "-s", f"model.vit.heads={max(1, arguments.width // 64)}", "-s", "model.modality_dropout=0",
                "-s", "optim.warmup_steps=0", "-s", "augment.flips=false", "-s", "augment.rotation=0", "-s", "augment.zoom=[1.0, 1.0]",
                "-s", "augment.brightness=0", "-s", "augment.contrast=0", "-s", "augment.noise=0", "-s", "augment.crop=0", "-s", f"train.global_batch={arguments.batch}", "-s", "eval.every=0",
                "-s", f"train.precision={arguments.precision}", "--threads", arguments.threads, "--overwrite"]
    run([terrane, "data", "build", *settings])
    run([terrane, "train", *settings, "-s", "train.steps=1", "-o", work / "first"])
    frozen = [*settings, "-s", f"train.steps={arguments.steps}", "-s", f"train.init_weights={work / 'first' / 'ckpt' / 'last'}",
              "-s", "model.frozen=encoder"]
    result = {"arguments": {key: str(value) for key, value in vars(arguments).items() if key not in ("terrane", "work", "output")}}
    losses = {}
    for name, cache in (("computed", []), ("cached, computed first", ["--feature-cache"]), ("cached", ["--feature-cache"])):
        out = work / name.replace(", ", "_").replace(" ", "_")
        used = run([terrane, "train", *frozen, *cache, "-o", out])
        row = last_row(out)
        losses[name] = [float(row["train_loss"]), float(row["val_loss"])]
        result[name] = {"tiles per second": float(row["tiles_per_second"]), **used}
    reference = losses["computed"]
    result["largest relative difference of losses"] = max(
        abs(a - b) / b for name in losses for a, b in zip(losses[name], reference, strict=True))
    result["bytes"] = sum(file.stat().st_size for file in (work / "tiles" / "features").rglob("*.h5"))
    print(json.dumps(result, indent=2))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if result["largest relative difference of losses"] < 1e-3 else 1


sys.exit(main())

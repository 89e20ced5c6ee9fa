#!/usr/bin/env python3
"""A scene far larger than the memory that predict may use, on one and on several ranks.

    bench/predict_large.py --terrane build/release/terrane --size 20000 --ram 1500 --work /some/disk

Makes a synthetic scene, trains a small network for a few steps on another one (the map's quality is not the
point), predicts the scene with --ram on each number of ranks, measures every rank's peak resident memory from
outside, compares the maps byte by byte and writes the numbers as JSON. Needs about 8 bytes of disk per pixel.
Exits with 1 if a rank used more memory than allowed or the maps differ.
"""

import argparse
import filecmp
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path


def as_rank(folder, command):
    """Runs one rank and leaves its peak resident memory in a file."""
    code = subprocess.call(command)
    rank = os.environ.get("OMPI_COMM_WORLD_RANK", "0")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    (Path(folder) / f"rank-{rank}").write_text(str(peak * 1024))
    sys.exit(code)


def run(command, **options):
    print("$", " ".join(str(word) for word in command), flush=True)
    begin = time.monotonic()
    subprocess.run([str(word) for word in command], check=True, **options)
    return time.monotonic() - begin


def predict(arguments, ranks, weights, work):
    peaks = work / f"peaks-{ranks}"
    peaks.mkdir(exist_ok=True)
    for old in peaks.iterdir():
        old.unlink()
    out = work / f"map-{ranks}.tif"
    command = [sys.executable, __file__, "--as-rank", peaks, arguments.terrane, "predict", "-c",
               work / "scene" / "scene.toml", "--weights", weights, "-o", out, "--overwrite", "--ram",
               arguments.ram, "--threads", arguments.threads, "--progress", "none", "-s",
               f"predict.overlap={arguments.overlap}"]
    if ranks > 1:
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", ranks] + command
    environment = dict(os.environ)
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    seconds = run(command, env=environment)
    found = [int(file.read_text()) for file in sorted(peaks.iterdir())]
    assert len(found) == ranks, f"{len(found)} of {ranks} ranks reported"
    return out, {"ranks": ranks, "threads_per_rank": arguments.threads, "seconds": round(seconds, 1),
                 "peak_resident_mib": [round(peak / 2**20, 1) for peak in found]}


def main():
    if len(sys.argv) > 3 and sys.argv[1] == "--as-rank":
        as_rank(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terrane", required=True, help="the program")
    parser.add_argument("--size", type=int, default=20000, help="edge of the scene in pixels")
    parser.add_argument("--ram", type=int, default=1500, help="MB per rank")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--threads", type=int, default=1, help="per rank")
    parser.add_argument("--overlap", type=float, default=0.25, help="fraction of a window shared with the next")
    parser.add_argument("--work", required=True, help="folder for scene, tiles and maps; an existing scene is kept")
    parser.add_argument("--output", help="JSON file; standard output without it")
    arguments = parser.parse_args()
    arguments.terrane = str(Path(arguments.terrane).resolve())
    work = Path(arguments.work)
    work.mkdir(parents=True, exist_ok=True)

    result = {"bench": "predict_large", "size": arguments.size, "ram_mib": arguments.ram, "runs": []}
    if not (work / "scene" / "scene.toml").exists():
        result["synth_seconds"] = round(run([arguments.terrane, "data", "synth", "-o", work / "scene", "--size",
                                             arguments.size, "--seed", 11]), 1)
    weights = work / "run" / "ckpt" / "last"
    if not weights.exists():
        small = work / "small"
        run([arguments.terrane, "data", "synth", "-o", small, "--size", 1024, "--seed", 3, "--overwrite"])
        run([arguments.terrane, "data", "build", "-c", small / "scene.toml", "-o", work / "tiles"])
        run([arguments.terrane, "train", "-c", small / "scene.toml", "-s", f"data.tiles={work / 'tiles'}",
             "-s", "model.encoder_width=16", "-s", "model.decoder_channels=32", "-s", "model.aspp_channels=32",
             "-s", "model.decoder_stride=4", "-s", "train.steps=40", "-s", "eval.every_steps=40", "-o",
             work / "run"])

    maps = []
    for ranks in arguments.ranks:
        out, measured = predict(arguments, ranks, weights, work)
        maps.append(out)
        result["runs"].append(measured)
    result["maps_equal"] = all(filecmp.cmp(maps[0], other, shallow=False) for other in maps[1:])
    result["within_ram"] = all(peak <= arguments.ram for row in result["runs"] for peak in row["peak_resident_mib"])
    text = json.dumps(result, indent=2) + "\n"
    if arguments.output:
        Path(arguments.output).write_text(text)
    print(text, end="")
    sys.exit(0 if result["maps_equal"] and result["within_ram"] else 1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How training scales over ranks, measured and predicted.

    bench/scaling.sh --terrane build/release/terrane --ranks 1 2 4                     # tiles of random numbers
    bench/scaling.sh --terrane build/release/terrane --ranks 1 2 4 -c my.toml          # and the tiles of data.tiles
    sbatch slurm/scaling.sbatch -c my.toml                                             # the same through srun

Weak scaling: every rank has --batch samples however many ranks there are. Strong scaling: --batch times the largest number
of ranks are shared out. Every combination runs --rounds times, in turn, and the fastest median counts. Printed: speed-up,
efficiency, exposed communication (time that ranks stand still in sums) and io-wait, beside published speed-ups of data
parallel training. 'terrane bench comm' on the same ranks gives the time of sums by size; a model of a ring,

    t(n, S) = 2 (n - 1) alpha + 2 (n - 1) / n * S / B,

is fitted to it (least squares of relative errors) and predicts larger worlds. Writes a JSON file and a picture.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

# Published speed-ups of data-parallel training on 2, 4 and 8 GPUs (lower and upper end of what guides promise).
PUBLISHED = {2: (1.7, 1.9), 4: (3.2, 3.6), 8: (6.0, 7.0)}
BUCKET = 4 << 20  # bytes; graph::PlanOptions::bucket_bytes


def launcher(arguments, ranks):
    if arguments.launcher == "srun":
        return ["srun", "--mpi=pmix", f"--ntasks={ranks}", "--kill-on-bad-exit=1", *arguments.launcher_args]
    return ["mpirun", "-n", str(ranks), *arguments.launcher_args]


def terrane(arguments, ranks, words):
    """Runs a benchmark on so many ranks and returns its JSON."""
    command = [*launcher(arguments, ranks), arguments.terrane, *words]
    environment = dict(os.environ)
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        sys.exit(f"scaling: {' '.join(map(str, command))} ended with {result.returncode}:\n{result.stderr}")
    return json.loads(result.stdout)


def measure(arguments):
    """The fastest of the rounds per (source, mode, ranks)."""
    sources = {"random": ["--random"] if arguments.config else ["--random", "--bands", arguments.bands, "--size", arguments.size]}
    if arguments.config:
        sources["tiles"] = []
    most = max(arguments.ranks)
    best = {}
    for _ in range(arguments.rounds):
        for source, words in sources.items():
            for mode in ("weak", "strong"):
                for ranks in arguments.ranks:
                    share = ["--batch", arguments.batch] if mode == "weak" else \
                        ["-s", f"train.global_batch={arguments.batch * most}"]
                    if mode == "strong" and ranks == most and (source, "weak", ranks) in best:
                        found = best[source, "weak", ranks]  # the same work
                    else:
                        configuration = [word for file in arguments.config for word in ("-c", file)]
                        settings = [word for setting in arguments.set for word in ("-s", setting)]
                        found = terrane(arguments, ranks, ["bench", "scaling", *configuration, *settings, *words, *share,
                                                           "--steps", arguments.steps, "--threads", arguments.threads])
                    key = (source, mode, ranks)
                    if key not in best or found["step_seconds"] < best[key]["step_seconds"]:
                        best[key] = found
    return best


def table(best, arguments):
    rows = []
    for (source, mode, ranks), run in sorted(best.items()):
        one = best[source, mode, min(arguments.ranks)]
        speed_up = run["samples_per_second"] / one["samples_per_second"] * min(arguments.ranks)
        rows.append({"source": source, "mode": mode, "ranks": ranks, "step_seconds": run["step_seconds"],
                     "samples_per_second": run["samples_per_second"], "speed_up": speed_up, "efficiency": speed_up / ranks,
                     "exposed_communication": run["exposed_communication"], "io_wait": run["io_wait"],
                     "global_batch": run["global_batch"]})
    return rows


def fit(sums):
    """alpha, 1 / B of the ring model and the geometric mean and largest of its relative errors.

    `sums`: (ranks, bytes, seconds). Weighted least squares in closed form; a negative coefficient is set to zero and the
    other one fitted alone.
    """
    points = [(2 * (n - 1) / t, 2 * (n - 1) / n * size / t) for n, size, t in sums]
    aa, ab, bb = (sum(p[i] * p[j] for p in points) for i, j in ((0, 0), (0, 1), (1, 1)))
    a1, b1 = sum(p[0] for p in points), sum(p[1] for p in points)
    determinant = aa * bb - ab * ab
    alpha, inverse = (a1 / aa, 0.0) if determinant <= 0 else ((a1 * bb - b1 * ab) / determinant, (b1 * aa - a1 * ab) / determinant)
    if alpha < 0:
        alpha, inverse = 0.0, b1 / bb
    elif inverse < 0:
        alpha, inverse = a1 / aa, 0.0
    ratios = [math.log(max(p[0] * alpha + p[1] * inverse, 1e-12)) for p in points]
    geometric = math.exp(sum(abs(r) for r in ratios) / len(ratios)) - 1
    return alpha, inverse, geometric, math.exp(max(abs(r) for r in ratios)) - 1


def sum_seconds(alpha, inverse, ranks, size):
    """A step's gradient sums, one after another."""
    return math.ceil(size / BUCKET) * 2 * (ranks - 1) * alpha + 2 * (ranks - 1) / ranks * size * inverse


def predict(best, arguments, alpha, inverse):
    """Weak scaling of larger worlds: computation as at the most ranks measured, sums by the model, as much of them hidden
    behind the computation as was."""
    most = max(arguments.ranks)
    run = best["random", "weak", most]
    modelled = sum_seconds(alpha, inverse, most, run["gradient_bytes"])
    exposed = run["exposed_communication"] * run["step_seconds"]
    shown = min(1.0, exposed / modelled) if modelled > 0 else 0.0
    computing = run["step_seconds"] - exposed
    one = best["random", "weak", min(arguments.ranks)]["step_seconds"]
    rows = []
    for ranks in arguments.predict:
        step = computing + shown * sum_seconds(alpha, inverse, ranks, run["gradient_bytes"])
        rows.append({"ranks": ranks, "step_seconds": step, "speed_up": ranks * one / step, "efficiency": one / step})
    return {"computing_seconds": computing, "exposed_share_of_sums": shown, "worlds": rows}


def draw(rows, prediction, file):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(7, 5))
    for source, mode in sorted({(row["source"], row["mode"]) for row in rows}):
        line = [row for row in rows if (row["source"], row["mode"]) == (source, mode)]
        axes.plot([r["ranks"] for r in line], [r["speed_up"] for r in line], marker="o", label=f"{mode}, {'stored' if source == 'tiles' else source} tiles")
    worlds = prediction["worlds"] if prediction else []
    if worlds:
        axes.plot([r["ranks"] for r in worlds], [r["speed_up"] for r in worlds], "k:", marker="x", label="weak, predicted")
    last = max([row["ranks"] for row in rows] + [row["ranks"] for row in worlds])
    axes.plot([1, last], [1, last], color="grey", linewidth=0.8, label="ideal")
    for ranks, (low, high) in PUBLISHED.items():
        if ranks <= last:
            axes.plot([ranks, ranks], [low, high], color="orange", linewidth=6, alpha=0.5,
                      label="published" if ranks == 2 else None)
    axes.set(xlabel="ranks", ylabel="speed-up", xscale="log", yscale="log")
    ticks = sorted({row["ranks"] for row in rows} | {row["ranks"] for row in worlds})
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, labels=[str(tick) for tick in ticks])
        axis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--terrane", required=True, help="the program")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("-c", "--config", action="append", default=[], help="also measure the tiles of this configuration")
    parser.add_argument("-s", "--set", action="append", default=[], help="KEY=VALUE for every run")
    parser.add_argument("--bands", type=int, default=4, help="without -c: of the random tiles")
    parser.add_argument("--size", type=int, default=128, help="without -c: edge of the random tiles in pixels")
    parser.add_argument("--batch", type=int, default=4, help="samples per rank")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="per rank")
    parser.add_argument("--predict", type=int, nargs="*", default=[8, 16, 64], help="worlds to predict")
    parser.add_argument("--launcher", choices=["mpirun", "srun"], default="mpirun")
    parser.add_argument("--launcher-args", nargs=argparse.REMAINDER, default=[], help="the rest of the line goes to it")
    parser.add_argument("--output", default="scaling.json", help="the picture lies beside it")
    arguments = parser.parse_args()
    arguments.terrane = str(Path(arguments.terrane).resolve())
    arguments.ranks = sorted(set(arguments.ranks))

    best = measure(arguments)
    rows = table(best, arguments)
    sums = {ranks: terrane(arguments, ranks, ["bench", "comm", "--largest", "16"]) for ranks in arguments.ranks if ranks > 1}
    points = [(ranks, row["bytes"], row["seconds"]) for ranks, found in sums.items() for row in found["sums"]]
    cores = len(os.sched_getaffinity(0))
    oversubscribed = arguments.launcher == "mpirun" and max(arguments.ranks) * arguments.threads > cores

    print(f"{'tiles':<8}{'scaling':<9}{'ranks':>5}{'batch':>7}{'s/step':>9}{'tiles/s':>9}{'speed-up':>10}{'efficiency':>12}"
          f"{'exposed comm':>14}{'io-wait':>9}   published")
    for row in rows:
        bar = PUBLISHED.get(row["ranks"])
        print(f"{row['source']:<8}{row['mode']:<9}{row['ranks']:>5}{row['global_batch']:>7}{row['step_seconds']:>9.3f}"
              f"{row['samples_per_second']:>9.1f}{row['speed_up']:>10.2f}{100 * row['efficiency']:>11.1f}%"
              f"{100 * row['exposed_communication']:>13.1f}%{100 * row['io_wait']:>8.1f}%"
              f"   {f'{bar[0]} to {bar[1]}' if bar else '-'}")
    prediction = model = None
    if points:
        alpha, inverse, error, worst = fit(points)
        model = {"alpha_seconds": alpha, "bytes_per_second": 1 / inverse if inverse > 0 else None,
                 "relative_error_geometric_mean": error, "relative_error_largest": worst, "points": len(points)}
        prediction = predict(best, arguments, alpha, inverse)
        speed = f"{1e-9 / inverse:.2f} GB/s" if inverse > 0 else "unbounded"
        print(f"sums: alpha {1e6 * alpha:.1f} us, B {speed}; the model is off by {100 * error:.0f} % (geometric mean) and at "
              f"most {100 * worst:.0f} % over {len(points)} sizes")
        for row in prediction["worlds"]:
            print(f"predicted {row['ranks']:>4} ranks: {row['step_seconds']:.3f} s/step, speed-up {row['speed_up']:.1f}, "
                  f"efficiency {100 * row['efficiency']:.0f} %")
    if oversubscribed:
        print(f"note: up to {max(arguments.ranks) * arguments.threads} threads share {cores} cores: this shows that the "
              "machinery works, not how fast anything is")

    output = Path(arguments.output)
    draw(rows, prediction, output.with_suffix(".png"))
    with open(output, "w") as file:
        json.dump({"bench": "scaling", "command": " ".join(sys.argv), "cores": cores, "oversubscribed": oversubscribed,
                   "rows": rows, "model": model, "prediction": prediction, "sums": sums,
                   "runs": [run for _, run in sorted(best.items())]}, file, indent=1)
    print(f"written: {output} and {output.with_suffix('.png')}")


if __name__ == "__main__":
    main()

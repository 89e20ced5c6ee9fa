#!/usr/bin/env python3
"""bench/scaling.sh on one and two ranks, and its model of sums on numbers whose law is known.

    scaling_tool.py PROGRAM
"""

import importlib.util
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


def load_tool():
    spec = importlib.util.spec_from_file_location("scaling", BENCH / "scaling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def the_fit_finds_the_law(tool):
    draw = random.Random(5)
    alpha, bandwidth = 7e-6, 3e9
    sizes = [4096 * 4**k for k in range(7)]
    exact = [(n, size, 2 * (n - 1) * alpha + 2 * (n - 1) / n * size / bandwidth) for n in (2, 4, 8) for size in sizes]
    found, inverse, error, worst = tool.fit(exact)
    assert abs(found / alpha - 1) < 1e-9 and abs(inverse * bandwidth - 1) < 1e-9, (found, 1 / inverse)
    assert worst < 1e-9
    noisy = [(n, size, seconds * draw.uniform(0.9, 1.1)) for n, size, seconds in exact]
    found, inverse, error, worst = tool.fit(noisy)
    assert abs(found / alpha - 1) < 0.1 and abs(inverse * bandwidth - 1) < 0.1, (found, 1 / inverse)
    assert 0.01 < error <= worst < 0.25, (error, worst)
    # A law without latency must not be fitted by a negative one.
    found, inverse, _, _ = tool.fit([(n, size, size / bandwidth * n) for n in (2, 4) for size in sizes])
    assert found >= 0 and inverse > 0


def the_tool_runs(program, folder):
    output = folder / "scaling.json"
    result = subprocess.run(
        [BENCH / "scaling.sh", "--terrane", program, "--ranks", "1", "2", "--steps", "2", "--rounds", "1", "--batch", "1",
         "-s", "model.encoder_width=8", "-s", "model.norm=sync_batch", "--bands", "3", "--size", "32", "--output", output,
         "--launcher-args", "--oversubscribe", "--bind-to", "none"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(output.read_text())
    kinds = {(row["source"], row["mode"], row["ranks"]) for row in found["rows"]}
    assert kinds == {("random", mode, ranks) for mode in ("weak", "strong") for ranks in (1, 2)}, kinds
    for row in found["rows"]:
        assert row["step_seconds"] > 0 and 0 <= row["exposed_communication"] <= 1 and 0 <= row["io_wait"] <= 1, row
        assert row["global_batch"] == (row["ranks"] if row["mode"] == "weak" else 2), row
        assert row["ranks"] > 1 or abs(row["speed_up"] - 1) < 1e-9, row
    assert found["model"]["points"] > 5 and found["model"]["relative_error_largest"] > 0
    assert [world["ranks"] for world in found["prediction"]["worlds"]] == [8, 16, 64]
    # Weak and strong do the same training at the largest world: the losses must agree with the number of samples seen.
    runs = {(run["ranks"], run["global_batch"]): run["loss"] for run in found["runs"]}
    assert abs(runs[1, 2] - runs[2, 2]) < 1e-4 * abs(runs[1, 2]), runs
    picture = output.with_suffix(".png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 5000
    assert "published" in result.stdout and "efficiency" in result.stdout


def main():
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        skip("python3-matplotlib is not installed")
    the_fit_finds_the_law(load_tool())
    with tempfile.TemporaryDirectory(prefix="terrane-scaling-") as name:
        the_tool_runs(sys.argv[1], Path(name))
    print("as expected")


if __name__ == "__main__":
    main()

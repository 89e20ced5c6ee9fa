#!/usr/bin/env python3
"""Two ranks train while something goes wrong at random every now and then (a rank killed, left, spinning, stopped, slow; a save
that fails or is killed); whenever the job ends it is started again. In the end the weights are those of a training that
nobody disturbed. Says which share of the time was useful.

usage: soak_training.py TERRANE SECONDS MPIRUN WORDS...   SECONDS: of undisturbed training; faults come every minute, or ten
times in all if that is more often
"""

import collections
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import SmallTraining, verify, working_folder  # noqa: E402

FAULTS = {"kill": "kill@step={step};rank={rank}", "exit0": "exit0@step={step};rank={rank}",
          "spin": "spin@step={step};rank={rank}", "slow": "sleep@step={step};rank={rank};seconds=1;times=5",
          "killed save": "kill@saved_byte={byte};rank=0", "failed save": "io_error@save=1;error=ENOSPC;times=2",
          "lost fsync": "io_error@save=1;operation=fsync", "stuck read": "sleep@tile={step};rank={rank};seconds=1000"}


def main():
    program, seconds, mpirun = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    seed = random.randrange(1 << 30)
    draw = random.Random(seed)
    print(f"seed {seed}")
    with working_folder() as folder:
        small, runs = SmallTraining(program, folder), Path(folder)
        launch = [*mpirun, "-n", "2"]
        options = ["-s", "checkpoint.every=20", "--collective-timeout", "10", "--heartbeat-timeout", "5"]

        def timed(run, steps, **environment):
            began = time.monotonic()
            text = small.run([*launch, *small.train(run, *options, steps=steps)], seconds=10 * seconds + 600, **environment)
            return time.monotonic() - began, text

        per_step = max(1e-4, (timed(runs / "long", 120)[0] - timed(runs / "short", 20)[0]) / 100)
        steps = max(200, int(seconds / per_step))
        calm, _ = timed(runs / "calm", steps)
        between = min(60 / per_step, steps / 10)  # steps from one fault to the next
        happened, starts = collections.Counter(), 0
        began = time.monotonic()
        while True:
            done = max((int(path.name[5:]) for path in (runs / "wild/ckpt").glob("step-????????")), default=0)
            kind = draw.choice(list(FAULTS))
            step = done + 1 + int(draw.uniform(0.2, 1.8) * between)
            fault = FAULTS[kind].format(step=step, rank=draw.randrange(2), byte=draw.randrange(1, 2_000_000))
            starts += 1
            code = small.code([*launch, *small.train(runs / "wild", *options, steps=steps)], seconds=10 * seconds + 600,
                              TERRANE_FAULT=fault)
            happened[kind] += 1
            verify(runs / "wild/ckpt")
            if code == 0:
                break
            assert starts < 1000, "the training does not come to its end"
        wild = time.monotonic() - began
        assert small.weights(runs / "calm") == small.weights(runs / "wild"), f"other weights (seed {seed})"
        print(f"{steps} steps: {calm:.0f} s undisturbed, {wild:.0f} s in {starts} starts with "
              f"{', '.join(f'{count} x {kind}' for kind, count in sorted(happened.items()))}; "
              f"{100 * calm / wild:.0f} % of the time was useful; equal weights")


if __name__ == "__main__":
    main()

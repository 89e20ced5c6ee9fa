#!/usr/bin/env python3
"""--deterministic=ranks: eight ranks, here on as few cores as there are, give the bits of one; so does a run that one rank
begins and eight go on with.

usage: eight_ranks.py TERRANE MPIRUN WORDS...
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import SmallTraining, working_folder  # noqa: E402


def main():
    program, mpirun = sys.argv[1], sys.argv[2:]
    with working_folder() as folder:
        small, runs = SmallTraining(program, folder), Path(folder)
        options = ["--deterministic", "ranks", "-s", "train.virtual_shards=8", "-s", "train.global_batch=8",
                   "-s", "checkpoint.every=1", "-s", "checkpoint.keep=4"]
        eight = [*mpirun, "-n", "8"]
        small.run(small.train(runs / "one", *options, steps=3))
        small.run([*eight, *small.train(runs / "eight", *options, steps=3)])
        assert small.weights(runs / "one") == small.weights(runs / "eight"), "eight ranks give other bits than one"
        first = runs / "one/ckpt/step-00000001"
        small.run([*eight, *small.train(runs / "changed", *options, "--resume", first, steps=3)])
        assert small.weights(runs / "one") == small.weights(runs / "changed"), "a change of ranks changes bits"
        print("1 and 8 ranks: equal bits after 3 steps, also where the run changes from 1 to 8")


if __name__ == "__main__":
    main()

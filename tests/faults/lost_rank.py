#!/usr/bin/env python3
"""A rank of a training is killed at a random step, again and again: the job ends with a message that names it and what it was
at, the same command goes on from the last checkpoint, and the weights are those of a training that nobody disturbed. A rank
that is slow is waited for and named.

usage: lost_rank.py TERRANE [MPIRUN WORDS...]
"""

import json
import random
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import SmallTraining, verify, working_folder  # noqa: E402


def main():
    program, mpirun = sys.argv[1], sys.argv[2:]
    draw = random.Random()
    with working_folder() as folder:
        small, runs = SmallTraining(program, folder), Path(folder) / "runs"
        steps = 24
        options = ["-s", "checkpoint.every=3"]
        launch = [*mpirun, "-n", "2"]
        small.run([*launch, *small.train(runs / "calm", *options, steps=steps)])
        for kill in range(3):
            step, rank = draw.randrange(4 + 6 * kill, 10 + 6 * kill), draw.randrange(2)
            text = small.run([*launch, *small.train(runs / "killed", *options, steps=steps)], code=None,
                             TERRANE_FAULT=f"kill@step={step};rank={rank}")
            told = re.search(rf"error\[E0803\]: rank {rank} on \S+ \(process \d+\) is gone, it was last .*", text)
            assert told, f"step {step}, rank {rank}\n{text}"
            # What the other one was at is in the file that the message names.
            kept = Path(re.search(r"last collectives of every rank are in (\S+)\.", text).group(1)).read_text()
            assert f", step {step}, " in kept and " on cpu" in kept, kept
            print(told.group(0))
            verify(runs / "killed" / "ckpt")
        text = small.run([*launch, *small.train(runs / "killed", *options, steps=steps)])
        assert "resume " in text, text
        assert small.weights(runs / "killed") == small.weights(runs / "calm"), "other weights"

        # Four steps are an epoch; rank 1 sleeps in each of six.
        text = small.run([*launch, *small.train(runs / "slow", "--heartbeat-timeout", "1", steps=8)],
                         TERRANE_FAULT="sleep@step=2;seconds=1.5;rank=1;times=6")
        assert re.search(r"slow  rank 1 on \S+ needs .* times as long", text), text
        assert re.search(r"ranks imbalance \d\.\d\d \(rank 1 on \S+\), \d+ % of the time waiting, "
                         r"\d+\.\d MB of gradients at [\d.e-]+ GB/s", text), text
        events = [json.loads(line) for line in (runs / "slow/events.jsonl").read_text().splitlines()]
        balance = [event for event in events if event["event"] == "ranks"]
        assert balance and balance[0]["slowest"] == 1 and balance[0]["imbalance"] > 1.2, balance
        assert balance[0]["gradients_mb"] > 0 and balance[0]["bus_gb_per_s"] > 0, balance
        assert any(event["event"] == "straggler" for event in events)
        print(f"slow but alive: {balance[0]}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""mpirun is told to stop. USR1 goes to the ranks, which save and leave with 75, and no step is lost. TERM kills the ranks a
second later, in the middle of a save that takes longer: no checkpoint is torn, and the next start goes on from the one
before. The start of a run says how long a save takes.

usage: short_grace.py TERRANE MPIRUN WORDS...
"""

import json
import re
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import SmallTraining, verify, working_folder  # noqa: E402


def events(run, name):
    lines = (json.loads(line) for line in (run / "events.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == name]


def main():
    program, mpirun = sys.argv[1], sys.argv[2:]
    with working_folder() as folder:
        small, run = SmallTraining(program, folder), Path(folder) / "run"
        launch = [*mpirun, "-n", "2"]

        job = small.start([*launch, *small.train(run)])
        job.wait_for("ep 1")
        began = time.monotonic()
        text = job.end(75, signal.SIGUSR1)
        seconds = time.monotonic() - began
        step = int(re.search(r"sig +USR1 at rank \d; all ranks agreed to stop at step (\d+)", text).group(1))
        assert re.search(r"ckpt  [\d.]+ MB each, about [\d.]+ s to save", text), text
        assert (run / "ckpt/last").resolve().name == f"step-{step:08}", "steps were lost"
        assert seconds < 30, f"{seconds} s from the signal to the end"  # 10 s on a quiet machine
        print(f"USR1 to mpirun: saved at step {step}, gone after {seconds:.1f} s")

        # A save of ten seconds; mpirun kills one second after TERM.
        job = small.start([*launch, *small.train(run, "-s", "checkpoint.every=2")],
                          TERRANE_FAULT="sleep@saved_byte=100000;seconds=10")
        job.wait_for("ep ")  # it goes on from the step above
        end = time.monotonic() + 30
        while not list((run / "ckpt").glob("step-*.tmp/model.safetensors")):
            assert time.monotonic() < end, job.text()
            time.sleep(0.01)
        job.process.send_signal(signal.SIGTERM)
        job.process.wait(60)
        assert job.process.returncode != 0, job.text()
        assert list((run / "ckpt").glob("step-*.tmp")), "the save was not cut short"
        assert (run / "ckpt/last").resolve().name == f"step-{step:08}"
        assert verify(run / "ckpt") == 1
        again = small.start(small.train(run))
        again.wait_for(f"resume {run}/ckpt/step-{step:08}")
        again.wait_for("ckpt  removed 1 half-written checkpoints")
        again.wait_for("ep ")
        again.end(75, signal.SIGTERM)
        assert not list((run / "ckpt").glob("*.tmp"))
        held = [event["held"] for event in events(run, "checkpoint")]
        assert held and all(seconds >= 0 for seconds in held), held
        print("TERM to mpirun in the middle of a save: the checkpoint before it is whole, the run goes on from it")


if __name__ == "__main__":
    main()

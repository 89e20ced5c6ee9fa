#!/usr/bin/env python3
"""Breaks jobs of four ranks again and again and measures how they end.

soak_ranks.py FAILING_RANK [--mpirun PATH] [--trials N] [--kinds kill,stop,...] [--launchers mpirun,env] [--seed N]

Each trial starts the test program FAILING_RANK (tests/comm/failing_rank.cpp) and lets one rank fail at a random step:
kill -9, SIGSTOP, an endless loop, an exit with code 0. A trial is good if the job ends with a non-zero code in time, the
message names the rank, and no process is left. Prints a table with the seconds from the fault until no rank is there
any more; the exit code is 1 if a trial was not good."""
import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RANKS = 4
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "spin": signal.SIGRTMIN, "exit0": signal.SIGRTMIN + 1}
TIMEOUT = 5  # of heartbeats and collectives
LIMITS = {"kill": 2, "exit0": 2, "stop": TIMEOUT + 5, "spin": TIMEOUT + 5}


def processes(tag):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if tag.encode() in words and b"failing_rank" in words[0]:
            rank = next((int(v.split(b"=")[1]) for v in environment
                         if v.startswith((b"OMPI_COMM_WORLD_RANK=", b"RANK="))), -1)
            found.append((int(folder.name), rank))
    return found


def trial(options, launcher, kind, number):
    tag = f"soak-{os.getpid()}-{number}"
    rank = random.randrange(RANKS)
    mark = Path(tempfile.gettempdir()) / f"{tag}.started"
    environment = dict(os.environ, TERRANE_TEST_STEPS="1000000", TERRANE_TEST_STARTED=str(mark), OMP_NUM_THREADS="1",
                       OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    program = [options.failing_rank, "loop", str(TIMEOUT), str(TIMEOUT), tag]
    if launcher == "mpirun":
        command = [options.mpirun, "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1", "-n",
                   str(RANKS), *program]
    else:
        run_ranks = Path(__file__).resolve().parent.parent / "tests/support/run_ranks.py"
        command = [sys.executable, str(run_ranks), "-n", str(RANKS), "--", *program]
    with tempfile.TemporaryFile("w+") as output:
        job = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        deadline = time.monotonic() + 300
        while not mark.exists() and time.monotonic() < deadline and job.poll() is None:
            time.sleep(0.01)
        if not mark.exists():
            job.kill()
            sys.exit(f"trial {number}: the ranks did not begin their steps")
        time.sleep(random.random() * 0.5)
        began = time.monotonic()
        for process, its_rank in processes(tag):
            if its_rank == rank:
                os.kill(process, SIGNALS[kind])
        while processes(tag) and time.monotonic() < began + 60:
            time.sleep(0.05)
        seconds = time.monotonic() - began
        try:
            code = job.wait(60)
        except subprocess.TimeoutExpired:
            code = None
            job.kill()
        time.sleep(0.2)
        left = processes(tag)
        for process, _ in left:
            os.kill(process, signal.SIGKILL)
        mark.unlink(missing_ok=True)
        output.seek(0)
        text = output.read()
    named = re.search(rf"error\[E080[234]\]:.*rank {rank} on ", text) is not None
    good = code not in (0, None) and named and not left
    if not good:
        print(f"trial {number} {launcher} {kind} rank {rank}: code {code}, named {named}, left {left}\n{text}",
              file=sys.stderr)
    return good, seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("failing_rank")
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--kinds", default="kill,exit0,stop,spin")
    parser.add_argument("--launchers", default="mpirun,env")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    failed = 0
    number = 0
    print("| launcher | fault | trials | named, none left | median s | longest s | promised s | beyond it |")
    print("|---|---|---|---|---|---|---|---|")
    for launcher in options.launchers.split(","):
        for kind in options.kinds.split(","):
            times = []
            good = 0
            for _ in range(options.trials):
                number += 1
                well, seconds = trial(options, launcher, kind, number)
                good += well
                times.append(seconds)
            times.sort()
            late = sum(1 for t in times if t > LIMITS[kind])
            print(f"| {launcher} | {kind} | {options.trials} | {good} | {times[len(times) // 2]:.2f} | {times[-1]:.2f} "
                  f"| {LIMITS[kind]} | {late} |", flush=True)
            failed += options.trials - good
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

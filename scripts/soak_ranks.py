#!/usr/bin/env python3
"""Breaks jobs of four ranks again and again and measures how they end.

soak_ranks.py FAILING_RANK [--mpirun PATH] [--trials N] [--kinds kill,stop,...] [--launchers mpirun,env] [--seed N]

Each trial starts the test program FAILING_RANK (tests/comm/failing_rank.cpp) and lets one rank fail at a random step:
kill -9, SIGSTOP, an endless loop, an exit with code 0. A trial is good if the job ends with a non-zero code in time, the
message names the rank, and no process is left. Prints a table with the seconds from the fault until no rank is there
any more, and until the launcher has ended as well; the exit code is 1 if a trial was not good."""
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


def ranks_of(tag):
    """The processes of a job by their command line: process number to rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if tag.encode() not in words or b"failing_rank" not in words[0]:
                continue
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        found[int(folder.name)] = next((int(v.split(b"=")[1]) for v in environment
                                        if v.startswith((b"OMPI_COMM_WORLD_RANK=", b"RANK="))), -1)
    return found


def is_alive(process):
    """A zombie is gone: only its launcher has not looked yet."""
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Output:
    """What the job says, read without waiting for it."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.text = ""

    def read(self):
        while True:
            try:
                some = os.read(self.reading, 65536)
            except BlockingIOError:
                return
            if not some:
                return
            self.text += some.decode(errors="replace")


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
    output = Output()
    job = subprocess.Popen(command, env=environment, stdout=output.writing, stderr=output.writing)
    os.close(output.writing)
    try:
        deadline = time.monotonic() + 300
        while not mark.exists() and time.monotonic() < deadline and job.poll() is None:
            time.sleep(0.01)
        if not mark.exists():
            sys.exit(f"trial {number}: the ranks did not begin their steps")
        time.sleep(random.random() * 0.5)
        running = ranks_of(tag)
        began = time.monotonic()
        for process, its_rank in running.items():
            if its_rank == rank:
                os.kill(process, SIGNALS[kind])
        ended = {}
        while len(ended) < 2 and time.monotonic() < began + 60:
            output.read()
            if "ranks" not in ended and not any(is_alive(process) for process in running):
                ended["ranks"] = time.monotonic() - began
            if "launcher" not in ended and job.poll() is not None:
                ended["launcher"] = time.monotonic() - began
            time.sleep(0.005)
        output.read()
        left = [process for process in running if is_alive(process)]
        named = re.search(rf"error\[E080[234]\]:.*rank {rank} on ", output.text) is not None
        good = job.returncode not in (0, None) and named and not left
        if not good:
            print(f"trial {number} {launcher} {kind} rank {rank}: code {job.returncode}, named {named}, left {left}\n"
                  f"{output.text}", file=sys.stderr)
        return good, ended.get("ranks", 60.0), ended.get("launcher", 60.0)
    finally:
        for process in ranks_of(tag):
            os.kill(process, signal.SIGKILL)
        if job.poll() is None:
            job.kill()
            job.wait()
        os.close(output.reading)
        mark.unlink(missing_ok=True)


def column(seconds):
    seconds = sorted(seconds)
    return f"{seconds[len(seconds) // 2]:.2f} | {seconds[-1]:.2f}"


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
    print("| launcher | fault | trials | named, none left | no rank left: median s | longest s | promised s | beyond it "
          "| launcher ended: median s | longest s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for launcher in options.launchers.split(","):
        for kind in options.kinds.split(","):
            trials = []
            for _ in range(options.trials):
                number += 1
                trials.append(trial(options, launcher, kind, number))
            good = sum(one[0] for one in trials)
            ranks = [one[1] for one in trials]
            late = sum(seconds > LIMITS[kind] for seconds in ranks)
            print(f"| {launcher} | {kind} | {options.trials} | {good} | {column(ranks)} | {LIMITS[kind]} | {late} "
                  f"| {column([one[2] for one in trials])} |", flush=True)
            failed += options.trials - good
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

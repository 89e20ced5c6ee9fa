#!/usr/bin/env python3
"""Too little memory: in a control group, or under a limit on addresses, a training that needs more than is left is refused
before it starts, and one that fits stays below the limit however long it runs. The kernel never has to kill anything.

usage: little_memory.py TERRANE [MPIRUN WORDS...]     exit code 77: no control group can be made here
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import QUIET, SmallTraining, skip, working_folder  # noqa: E402

MB = 1 << 20


class Group:
    """A control group with a limit on memory, of either version."""

    def __init__(self, limit):
        first = Path("/sys/fs/cgroup/memory")
        self.second = not first.is_dir()
        top = Path("/sys/fs/cgroup") if self.second else first
        own = Path(f"terrane-test-{os.getpid()}-{time.monotonic_ns()}")
        self.folder = top / own
        try:
            if self.second:
                (top / "cgroup.subtree_control").write_text("+memory")
            self.folder.mkdir()
            (self.folder / ("memory.max" if self.second else "memory.limit_in_bytes")).write_text(str(limit))
            if self.second and (self.folder / "memory.swap.max").exists():
                (self.folder / "memory.swap.max").write_text("0")
        except OSError as error:
            skip(f"no control group with a limit on memory can be made here ({error})")

    def enter(self):
        (self.folder / "cgroup.procs").write_text("0")

    def kills(self):
        text = (self.folder / ("memory.events" if self.second else "memory.oom_control")).read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))

    def close(self):
        for _ in range(100):
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.05)


def run(command, prepare):
    """(exit code, output, largest resident memory of its processes); the code is negative for a signal."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output,
                                   env={**os.environ, **QUIET}, preexec_fn=prepare)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return process.returncode, output.read(), usage.ru_maxrss * 1024


def in_group(command, limit):
    """The same within a group of that limit, in which nothing may be killed."""
    group = Group(limit)
    try:
        code, text, peak = run(command, group.enter)
        assert group.kills() == 0, f"killed for memory at {limit // MB} MB\n{text}"
        return code, text, peak
    finally:
        group.close()


def training(small, run_folder, steps):
    """Larger than the other tests': its memory has to stand out from that of the program."""
    return small.train(run_folder, "-s", "model.encoder_width=32", "-s", "model.decoder_channels=32", "-s", "train.global_batch=8",
                       "-s", "checkpoint.every=4", "--overwrite", steps=steps)


def main():
    if "TERRANE_SANITIZE" in os.environ:
        skip("sanitizers take addresses and memory of their own beyond every limit that is set here")
    program, mpirun = sys.argv[1], sys.argv[2:]
    with working_folder() as folder:
        small, runs = SmallTraining(program, folder), Path(folder) / "runs"
        code, text, need = in_group(training(small, runs / "free", 2), 4096 * MB)
        assert code == 0 and need > 0, text
        # Refused before anything is written, naming what is needed and what there is.
        code, text, peak = in_group(training(small, runs / "refused", 2), need * 2 // 3)
        assert code == 69 and "error[E0751]" in text and "MB per rank and may use" in text, text
        assert not (runs / "refused").exists()
        print(f"needs {need // MB} MB; with {need * 2 // 3 // MB} MB: refused at {peak // MB} MB")
        # One that fits runs under its limit, and its memory doesn't grow.
        limit = need * 8 // 5
        code, text, short = in_group(training(small, runs / "short", 4), limit)
        assert code == 0, text
        code, text, long = in_group(training(small, runs / "long", 24), limit)
        assert code == 0 and short <= limit and long <= limit, text
        assert long - short < 16 * MB, f"memory grows: {short // MB} MB after 4 steps, {long // MB} MB after 24"
        print(f"with {limit // MB} MB: done; peak {short // MB} MB after 4 steps, {long // MB} MB after 24")
        # Two ranks in one group share what one could have.
        two = training(small, runs / "two", 2)
        code, text, _ = in_group([*mpirun, "-n", "2", *two], need)
        assert code == 69 and "error[E0751]" in text, text
        print(f"two ranks with {need // MB} MB: refused")
        # A limit on addresses: whatever it is, a message and a code, never a signal.
        codes = {}
        limits = [*range(200 * MB, 1200 * MB, 100 * MB), *range(1200 * MB, 3000 * MB, 300 * MB)]  # CUDA's libraries take a GB
        for limit in limits:
            def limited(limit=limit):
                resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            if run([program, "--version"], limited)[0] != 0:
                continue  # not even its libraries can be loaded
            code, text, _ = run(training(small, runs / "addresses", 2), limited)
            assert code == 0 or (code in (1, 69, 74) and "error[E" in text and "E0001" not in text), \
                f"exit {code} with {limit // MB} MB of addresses\n{text}"
            codes.setdefault(f"exit {code} {text[text.find('error['):][:12] if code else ''}", []).append(limit // MB)
        for what, limits in codes.items():
            print(f"{what} with {limits[0]} to {limits[-1]} MB of addresses")
        assert len(codes) >= 2, codes


if __name__ == "__main__":
    main()

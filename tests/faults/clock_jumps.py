#!/usr/bin/env python3
"""No decision depends on the wall clock: it jumps by hours and years, back and forth, while ranks train, and nothing follows
from it: no rank is lost, no limit passes, the weights are those of an undisturbed run. And nothing but what is written for
people asks for that clock.

usage: clock_jumps.py TERRANE RUN_RANKS [MPIRUN WORDS...]     exit code 77: libfaketime is not installed
"""

import datetime
import glob
import json
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import SmallTraining, skip, working_folder  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# Where the wall clock may be asked, and what for.
ALLOWED = {"src/tensorboard/event_file.cpp": "the time of an event, for people",
           "src/train/model_bundle.cpp": "the date of a published model, for people",
           "src/report/run_folder.cpp": "names and times of runs, for people",
           "src/predict/heartbeat.cpp": "the time of a file; only its changes are looked at"}
WALL_CLOCK = re.compile(r"system_clock|file_time_type::clock|file_clock|\btime\((nullptr|NULL|0)\)|gettimeofday|CLOCK_REALTIME|"
                        r"high_resolution_clock|utc_clock|ftime\(")
JUMPS = ["+400d", "-3000d", "+1h", "-1h", "+20y", "-2s", "+0"]


def sources_ask_for_no_other():
    found = {str(path.relative_to(ROOT)) for folder in ("src", "kernels") for path in (ROOT / folder).rglob("*")
             if path.suffix in (".cpp", ".hpp", ".cu", ".cuh") and WALL_CLOCK.search(path.read_text())}
    assert found == set(ALLOWED), f"the wall clock is asked in {sorted(found ^ set(ALLOWED))}: use std::chrono::steady_clock"


def main():
    program, run_ranks, mpirun = sys.argv[1], sys.argv[2], sys.argv[3:]
    sources_ask_for_no_other()
    library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
    if library is None:
        skip("libfaketime is not installed; scripts/setup.sh does it")
    with working_folder() as folder:
        small = SmallTraining(program, folder)
        limits = ["--heartbeat-timeout", "20", "--collective-timeout", "60", "--max-time", "1:00:00"]
        launchers = {"env": [sys.executable, run_ranks, "-n", "2", "--"], "mpirun": [*mpirun, "-n", "2"]}
        steps = 150
        for name, launcher in launchers.items():
            calm, shaken = Path(folder) / f"calm_{name}", Path(folder) / f"shaken_{name}"
            small.run([*launcher, *small.train(calm, *limits, steps=steps)])
            clock = Path(folder) / "clock"
            clock.write_text("+0\n")
            faked = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                     "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
                     "NO_FAKE_STAT": "1"}  # the times of files are no clock
            words = [f"{key}={value}" for key, value in faked.items()]
            job = small.start([*launcher, "env", *words, *small.train(shaken, *limits, steps=steps)])
            jumps = 0
            while job.process.poll() is None and jumps < 2000:
                clock.write_text(JUMPS[jumps % len(JUMPS)] + "\n")
                jumps += 1
                time.sleep(0.05)
            text = job.end(0)
            assert "error" not in text and "E08" not in text, text
            times = [datetime.datetime.fromisoformat(json.loads(line)["time"])
                     for line in (shaken / "events.jsonl").read_text().splitlines()]
            span = max(times) - min(times)
            assert span > datetime.timedelta(minutes=30), f"the clock did not jump: {times}"
            assert small.weights(calm) == small.weights(shaken), f"{name}: other weights"
            print(f"{name}: {jumps} jumps during {steps} steps, the run's own records {span} apart, the same weights")


if __name__ == "__main__":
    main()

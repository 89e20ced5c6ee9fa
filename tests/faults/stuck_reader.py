#!/usr/bin/env python3
"""A read that never returns (a dead file server) is an error with the tile's name, not a job that hangs: in a training, an
evaluation and a prediction; on several ranks as well, where the message says what each rank was at. And two trainings can't
share a run folder.

usage: stuck_reader.py TERRANE [MPIRUN WORDS...]
"""

import re
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import SmallTraining, working_folder  # noqa: E402


def unread_by_evaluation_and_prediction(small, runs, mpirun):
    small.run(small.train(runs / "short", steps=2))
    common = [*small.config, "--threads", "1", "--collective-timeout", "3", "--weights", str(runs / "short/ckpt/last")]
    evaluate = [small.program, "evaluate", *common, "--split", "train"]
    predict = [small.program, "predict", *common, "-s", "predict.batch=1", "--overwrite", "-o", str(runs / "map.tif")]
    two = [*mpirun, "-n", "2"]
    hang = "seconds=1000"

    text = small.run(evaluate, code=74, TERRANE_FAULT=f"sleep@tile=2;{hang}")
    assert re.search(r"error\[E0412\]: tile .*scene .* of \S+\.h5 has been read for \d+\.\d s without an answer", text), text
    text = small.run([*two, *evaluate], code=None, TERRANE_FAULT=f"sleep@tile=2;{hang};rank=1")
    assert re.search(r"\[rank 1 on .*E0412|E0802.*rank 1 on .*waiting for tiles on cpu.*, reading ", text), text
    print("evaluate: E0412, the tile is named")

    unread = r"error\[E0412\]: \S+scene/\S+\.tif at .* has been read for \d+\.\d s without an answer"
    text = small.run(predict, code=74, TERRANE_FAULT=f"sleep@raster_read=2;{hang}")
    assert re.search(unread, text), text
    text = small.run([*two, *predict], code=None, TERRANE_FAULT=f"sleep@raster_read=2;{hang};rank=1")
    assert re.search(r"\[rank 1 on \S+\] " + unread, text), text
    assert small.run(predict) and (runs / "map.tif").exists()  # what a stuck one leaves is in nobody's way
    score = [small.program, "evaluate", *small.config, "--collective-timeout", "3", "--prediction", str(runs / "map.tif")]
    text = small.run(score, code=74, TERRANE_FAULT=f"sleep@raster_read=2;{hang}")
    assert re.search(r"error\[E0412\]: \S+\.tif at .* without an answer", text), text
    print("predict, evaluate --prediction: E0412, file and part are named")


def main():
    program, mpirun = sys.argv[1], sys.argv[2:]
    with working_folder() as folder:
        small, runs = SmallTraining(program, folder), Path(folder) / "runs"

        began = time.monotonic()
        text = small.run(small.train(runs / "alone", "--collective-timeout", "2"), code=74,
                         TERRANE_FAULT="sleep@tile=20;seconds=1000")
        assert re.search(r"error\[E0412\]: tile .*scene .* of \S+\.h5 has been read for [23]\.\d s without an answer", text), text
        print(f"one rank: E0412 after {time.monotonic() - began:.1f} s")

        # The other rank's limit passes at the same time: either of the two errors comes first.
        text = small.run([*mpirun, "-n", "2", *small.train(runs / "two", "--collective-timeout", "3")], code=None,
                         TERRANE_FAULT="sleep@tile=20;seconds=1000;rank=1")
        assert re.search(r"\[rank 1 on .*E0412|E0802.*rank 1 on .*waiting for tiles on cpu.*, reading ", text), text
        print("two ranks: rank 1 is named with the tile")

        # A rank that is stuck between two reads is named with its operation or tiles.
        text = small.run([*mpirun, "-n", "2", *small.train(runs / "spin", "--collective-timeout", "3")], code=82,
                         TERRANE_FAULT="spin@step=4;rank=1")
        told = re.search(r"error\[E0802\].*rank 1 on \S+ .*step 4, .* on cpu.*, tile \d+ \(scene .*", text)
        assert told, text
        print(told.group(0))

        unread_by_evaluation_and_prediction(small, runs, mpirun)

        held = small.start(small.train(runs / "held"))
        held.wait_for("ep 1")
        text = small.run(small.train(runs / "held"), code=73)
        assert re.search(r"error\[E0906\]: the run folder .*held is being trained in by process \d+", text), text
        text = small.run([*mpirun, "-n", "2", *small.train(runs / "held")], code=73)
        assert text.count("error[E0906]") == 1, text
        held.end(75, signal.SIGTERM)
        again = small.start(small.train(runs / "held"))
        again.wait_for("resume ")
        again.end(-9, signal.SIGKILL)
        last = small.start(small.train(runs / "held"))  # what a killed training leaves is no lock
        last.wait_for("ep ")
        last.end(75, signal.SIGTERM)
        print("a run folder has one training at a time")


if __name__ == "__main__":
    main()

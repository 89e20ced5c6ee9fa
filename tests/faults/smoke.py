#!/usr/bin/env python3
"""train --smoke tries everything out with the smallest batches there are, and doesn't touch a run that exists.

usage: smoke.py TERRANE [MPIRUN WORDS...]
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import SmallTraining, verify, working_folder  # noqa: E402


def main():
    program, mpirun = sys.argv[1], sys.argv[2:]
    with working_folder() as folder:
        small, runs = SmallTraining(program, folder), Path(folder) / "runs"
        network = [word for key in ("encoder_width", "decoder_channels", "aspp_channels") for word in ("-s", f"model.{key}=8")]
        smoke = [program, "train", *small.config, *network, "--threads", "1", "--smoke", "-s", "optim.warmup_steps=0"]

        text = small.run([*mpirun, "-n", "2", *smoke, "--dry-run", "-o", str(runs / "none")])
        assert re.search(r"plan  100 steps", text), text
        small.run([*mpirun, "-n", "2", *smoke, "-s", "train.steps=3", "-o", str(runs / "tried")])
        config = (runs / "tried/config.toml").read_text()
        for value in ("global_batch = 2", "batch = 1", "steps = 3"):
            assert re.search(rf"^{value}$", config, re.M), (value, config)
        assert verify(runs / "tried/ckpt") == 1 and (runs / "tried/ckpt/step-00000003").is_dir()
        assert len((runs / "tried/metrics.csv").read_text().splitlines()) == 2, "not one evaluation"
        before = small.weights(runs / "tried")
        text = small.run([*smoke, "-o", str(runs / "tried")], code=73)
        assert "error[E0904]" in text and small.weights(runs / "tried") == before, text
        print("100 steps of one sample per rank, one evaluation, one checkpoint; a run that exists is left alone")


if __name__ == "__main__":
    main()

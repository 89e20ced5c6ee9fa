"""A training that takes seconds, started as a user does, for tests that disturb it from outside."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUIET = {"OMP_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


STARTED = []


@contextlib.contextmanager
def working_folder():
    """A temporary folder; what was started and still runs is killed before it is removed."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield folder
        finally:
            for one in STARTED:
                if one.process.poll() is None:
                    one.process.kill()
                    one.process.wait()


class SmallTraining:
    """A scene of 256 pixels and its tiles in `folder`."""

    def __init__(self, program, folder):
        self.program, self.folder = str(program), Path(folder)
        self.config = ["-c", f"{folder}/scene/scene.toml", "-s", f"data.tiles={folder}/tiles", "-s", "grid.tile=64"]
        self.run([self.program, "data", "synth", "-o", f"{folder}/scene", "--size", "256", "--seed", "3"])
        self.run([self.program, "data", "build", *self.config])

    def train(self, run, *options, steps=100000):
        """The words of a training into folder `run`: two samples a step, one thread, nothing but steps unless told."""
        small = ["model.encoder_width=8", "model.decoder_channels=8", "model.aspp_channels=8", "train.global_batch=2",
                 f"train.steps={steps}", "optim.warmup_steps=0", "eval.every=0", "checkpoint.every=100000"]
        settings = [word for setting in small for word in ("-s", setting)]
        return [self.program, "train", *self.config, *settings, "--threads", "1", "-o", str(run), *options]

    def run(self, command, code=0, seconds=120, **environment):
        """Runs to its end, expects that exit code (None: any but 0) and gives all output."""
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=seconds, env={**os.environ, **QUIET, **environment})
        good = done.returncode == code if code is not None else done.returncode != 0
        assert good, f"exit {done.returncode} instead of {code}: {command}\n{done.stdout}"
        return done.stdout

    def code(self, command, seconds=120, **environment):
        """Runs to its end, whatever that is."""
        return subprocess.run([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=seconds, env={**os.environ, **QUIET, **environment}).returncode

    def start(self, command, **environment):
        return Started(command, self.folder / "output.txt", {**os.environ, **QUIET, **environment})

    @staticmethod
    def weights(run):
        return hashlib.sha256((Path(run) / "ckpt/last/model.safetensors").read_bytes()).hexdigest()


class Started:
    """A running command whose output is read while it runs."""

    def __init__(self, command, output, environment):
        self.output = output
        with open(output, "w") as file:
            self.process = subprocess.Popen([str(word) for word in command], stdout=file, stderr=file,
                                            env=environment)
        STARTED.append(self)

    def text(self):
        return self.output.read_text(errors="replace")

    def wait_for(self, words, seconds=60, after=0):
        """Until the output has `words` behind place `after`; gives the place behind them."""
        end = time.monotonic() + seconds
        while True:
            place = self.text().find(words, after)
            if place >= 0:
                return place + len(words)
            running = self.process.poll() is None
            assert running and time.monotonic() < end, f"no '{words}' (code {self.process.poll()}):\n{self.text()}"
            time.sleep(0.02)

    def end(self, code, with_signal=None, seconds=60):
        if with_signal is not None:
            self.process.send_signal(with_signal)
        try:
            found = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            raise AssertionError(f"still running:\n{self.text()}") from None
        assert found == code, f"exit {found} instead of {code}:\n{self.text()}"
        return self.text()


def verify(checkpoints):
    """Every checkpoint that looks complete is what its checksums say; gives their number."""
    complete = list(Path(checkpoints).glob("step-????????/COMPLETE"))
    for mark in complete:
        subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=mark.parent, check=True)
    return len(complete)

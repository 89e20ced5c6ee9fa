#!/usr/bin/env python3
"""Checkpoints on a disk that really fails: an ext4 on a loop device whose own storage is full, so that writes succeed and the
fsync behind them does not; the same disk mounted read-only; a limit on the size of files. Training goes on, tries again, and
what looks like a checkpoint is one.

usage: lost_writes.py TERRANE     exit code 77: no loop device can be mounted here
"""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import SmallTraining, skip, verify, working_folder  # noqa: E402

# The kernel passes on what the storage under the loop device said.
LOST = r"can't fsync \S+: (No space left on device|Input/output error)"
FAILED = "was not saved and will be tried again"


class FailingDisk:
    """An ext4 at `path` whose blocks live in a small tmpfs; they are given back as soon as a file is removed."""

    def __init__(self, folder):
        self.storage, self.path, self.device = folder / "storage", folder / "disk", None
        self.storage.mkdir()
        self.path.mkdir()
        self.filler = self.storage / "filler"
        self.mounted = []
        try:
            self.mount("-t", "tmpfs", "-o", "size=48m", "tmpfs", self.storage)
            image = self.storage / "image"
            image.touch()
            os.truncate(image, 256 << 20)
            # Without a journal the disk stays writable after a failed write: what fails is the fsync.
            self.must("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=0", image)
            self.device = self.must("losetup", "--show", "-f", image).strip()
            self.mount("-o", "discard", self.device, self.path)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            self.close()
            skip(f"no ext4 on a loop device can be mounted here ({error})")

    @staticmethod
    def must(*command):
        return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout

    def mount(self, *words):
        self.must("mount", *words)
        self.mounted.append(words[-1])

    def fill(self):
        with open(self.filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass

    def free(self):
        self.filler.unlink(missing_ok=True)

    def remount(self, how, seconds=20):
        """Refused for as long as a file is open for writing."""
        end = time.monotonic() + seconds
        while subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], capture_output=True).returncode != 0:
            assert time.monotonic() < end, f"the disk can't be made {how}"
            time.sleep(0.005)

    def close(self):
        self.free()
        for path in reversed(self.mounted):
            subprocess.run(["umount", "-l", str(path)], check=False)
        if self.device:
            subprocess.run(["losetup", "-d", self.device], check=False)


def on_failing_disk(small, disk, run):
    options = ["-s", "checkpoint.every=10", "-s", "checkpoint.keep=1"]
    # Only checkpoints lie on the disk that fails; they are moved there after a first start.
    first = small.start(small.train(run, *options))
    first.wait_for("ep 1")
    first.end(75, signal.SIGTERM)
    shutil.move(run / "ckpt", disk.path / "ckpt")
    (run / "ckpt").symlink_to(disk.path / "ckpt")

    job = small.start(small.train(run, *options))
    place = job.wait_for("resume ")
    for what, begin, end, reason in (("storage is full", disk.fill, disk.free, LOST),
                                     ("mounted read-only", lambda: disk.remount("ro"), lambda: disk.remount("rw"),
                                      r"Read-only file system"),
                                     ("storage is full again", disk.fill, disk.free, LOST)):
        begin()
        place = job.wait_for(FAILED, after=place)
        told = re.search(reason, job.text()[place:place + 400])
        assert told, job.text()[place - 200:place + 400]
        end()
        events = run / "events.jsonl"
        saved = events.read_text().count('"checkpoint"')
        until = time.monotonic() + 60
        while events.read_text().count('"checkpoint"') < saved + 2:
            assert job.process.poll() is None and time.monotonic() < until, job.text()
            time.sleep(0.05)
        place = len(job.text())
        print(f"{what}: '{told.group(0)}', training went on, later checkpoints were saved")
    text = job.end(75, signal.SIGTERM)
    assert "error[" not in text, text
    found = verify(disk.path / "ckpt")
    assert found >= 1
    again = small.start(small.train(run, *options))
    again.wait_for("resume ")
    again.wait_for("ep ")
    again.end(75, signal.SIGTERM)
    print(f"{found} checkpoints on the disk, each as its checksums say; the run goes on from the last")


def under_a_file_size_limit(small, run):
    """RLIMIT_FSIZE: the write fails; the signal that comes with it must not end the process."""
    limit = 64 << 10
    command = small.train(run, "-s", "checkpoint.every=1", steps=3)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert done.returncode in (73, 74), f"exit {done.returncode}\n{done.stdout}"
    assert "File too large" in done.stdout, done.stdout
    assert verify(run / "ckpt") == 0
    print(f"files limited to {limit} bytes: exit {done.returncode}, 'File too large'")


def main():
    with working_folder() as folder:
        small = SmallTraining(sys.argv[1], folder)
        under_a_file_size_limit(small, Path(folder) / "limited")
        if os.geteuid() != 0:
            skip("mounting needs root")
        disk = FailingDisk(Path(folder))
        try:
            on_failing_disk(small, disk, Path(folder) / "run")
        finally:
            disk.close()


if __name__ == "__main__":
    main()

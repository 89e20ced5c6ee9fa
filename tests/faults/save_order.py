#!/usr/bin/env python3
"""A checkpoint survives a power cut at any moment: the system calls of real saves, seen by strace, are in the order that this
needs (files, their fsync, the seal, the folder's fsync, the rename, the fsync of the folder above, the link, its fsync, and
only then removals).

usage: save_order.py TERRANE     exit code 77: strace can't be used here
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from small_training import SmallTraining, skip, working_folder  # noqa: E402

CALLS = ("openat,creat,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,symlink,symlinkat,unlink,unlinkat,"
         "mkdir,mkdirat,rmdir")


def traced(trace, folder):
    """(call, path, second path) of every call that succeeded, in the order of their ends, paths below `folder`."""
    unfinished, found = {}, []
    for line in trace.read_text(errors="replace").splitlines():
        process, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            unfinished[process] = rest[: -len("<unfinished ...>")]
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest)
        if resumed:
            rest = unfinished.pop(process, "") + resumed.group(1)
        call = re.match(r"(\w+)\((.*)\)\s+= (-?\d+)", rest)
        if not call or call.group(3).startswith("-"):
            continue
        name, arguments = call.group(1), call.group(2)
        if name in ("write", "pwrite64", "writev", "fsync", "fdatasync"):
            place = re.match(r"\d+<([^>]*)>", arguments)
            paths = [place.group(1)] if place else []
        else:
            paths = re.findall(r'"([^"]*)"', arguments)
            if name == "openat" and "O_CREAT" not in arguments:
                continue
            # Relative to an open folder: unlinkat(5</a/b>, "name", ...).
            inside = re.match(r"\d+<([^>]*)>", arguments)
            if inside and paths and not paths[0].startswith("/"):
                paths[0] = f"{inside.group(1)}/{paths[0]}"
        if any(path.startswith(str(folder)) for path in paths):
            found.append((name, *[path.removeprefix(str(folder)).lstrip("/") for path in paths]))
    return found


def is_sync(call, path):
    return call[0] in ("fsync", "fdatasync") and call[1] == path


def is_rename(call, old, new):
    return call[0].startswith("rename") and call[1:3] == (old, new)


def first(calls, begin, test, what):
    for place in range(begin, len(calls)):
        if test(calls[place]):
            return place
    raise AssertionError(f"{what} never happens after call {begin}: {calls[max(0, begin - 5):begin + 40]}")


def check_save(calls, step):
    folder = f"step-{step:08}"
    temporary = f"{folder}.tmp"
    published = first(calls, 0, lambda c: is_rename(c, temporary, folder), f"the rename of {folder}")
    written = {}  # path: place of its last write
    for place, call in enumerate(calls[:published]):
        if call[0] in ("write", "pwrite64", "writev", "openat") and call[1].startswith(temporary + "/"):
            written[call[1]] = place
    names = {path.split("/")[1].removesuffix(".tmp") for path in written}
    assert {"model.safetensors", "optim.safetensors", "state.json", "SHA256SUMS", "COMPLETE"} <= names, names
    sealed = first(calls, 0, lambda c: is_rename(c, f"{temporary}/COMPLETE.tmp", f"{temporary}/COMPLETE"), "the seal")
    assert sealed < published
    for path, last in written.items():
        synced = first(calls, last, lambda c: is_sync(c, path), f"the fsync of {path}")
        limit = sealed if "COMPLETE" not in path else published
        assert last < synced < limit, f"{path} is written at {last}, synced at {synced}, but needed whole at {limit}"
    summed = first(calls, 0, lambda c: is_rename(c, f"{temporary}/SHA256SUMS.tmp", f"{temporary}/SHA256SUMS"), "the sums")
    assert summed < sealed
    folder_synced = first(calls, sealed, lambda c: is_sync(c, temporary), "the fsync of the folder")
    assert folder_synced < published, "the folder's names are not on the disk before it is published"
    above_synced = first(calls, published, lambda c: is_sync(c, ""), "the fsync of the folder above")
    linked = first(calls, published, lambda c: is_rename(c, "last.tmp", "last"), "the turn of last")
    assert above_synced < linked, "last names a folder that a power cut could still take away"
    return first(calls, linked, lambda c: is_sync(c, ""), "the fsync behind the link")


def main():
    program = Path(sys.argv[1])
    if shutil.which("strace") is None:
        skip("strace is not installed; scripts/setup.sh does it")
    if subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True).returncode != 0:
        skip("no process may be traced here")
    with working_folder() as folder:
        small = SmallTraining(program, folder)
        trace, run = Path(folder) / "trace", Path(folder) / "run"
        steps = 3
        command = small.train(run, "-s", "checkpoint.every=1", "-s", "checkpoint.keep=1", steps=steps)
        small.run(["strace", "-f", "-qq", "-y", "-s", "256", "-o", trace, "-e", f"trace={CALLS}", *command])
        calls = traced(trace, (run / "ckpt").resolve())
        ends = {step: check_save(calls, step) for step in range(1, steps + 1)}
        for earlier, later in zip(ends.values(), list(ends.values())[1:]):
            assert earlier < later
        # What is removed goes after the newer one is safe, its seal first.
        removed = 0
        for step in ends:
            folder_name = f"step-{step:08}/"
            gone = [i for i, c in enumerate(calls) if c[0].startswith(("unlink", "rmdir")) and c[1].startswith(folder_name)]
            if not gone:
                continue
            removed += 1
            assert calls[gone[0]][1] == folder_name + "COMPLETE", calls[gone[0]]
            assert gone[0] > ends[step + 1], "a checkpoint is removed before the next one is safe"
        assert removed >= 1, "no removal was seen"
        print(f"{len(calls)} system calls of {steps} saves and {removed} removals are in order")


if __name__ == "__main__":
    main()

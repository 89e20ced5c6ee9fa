#!/usr/bin/env python3
"""Starts the ranks of a job as torchrun or a cloud platform does: by RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and
MASTER_PORT, without MPI.

run_ranks.py -n RANKS [--port N|none] [--set [RANK:]NAME=VALUE]... [--without RANK]... [--prefix RANK:WORDS]... -- COMMAND...

The exit code is that of the rank that failed first, or 0. Ranks that are still there --grace seconds after that are
killed and named as left over (exit code 99)."""
import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import time


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, required=True, dest="ranks")
    parser.add_argument("--port", default="")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--without", action="append", type=int, default=[])
    parser.add_argument("--prefix", action="append", default=[])
    parser.add_argument("--grace", type=float, default=30)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    port = str(free_port()) if options.port == "" else options.port

    prefixes = {}
    for text in options.prefix:
        rank, words = text.split(":", 1)
        prefixes[int(rank)] = shlex.split(words)

    running = {}
    for rank in range(options.ranks):
        if rank in options.without:
            continue
        environment = dict(os.environ, RANK=str(rank), WORLD_SIZE=str(options.ranks), LOCAL_RANK=str(rank),
                           MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        if port == "none":
            del environment["MASTER_PORT"]
        for text in options.set:
            name, value = text.split("=", 1)
            if ":" in name:
                only, name = name.split(":", 1)
                if int(only) != rank:
                    continue
            if value:
                environment[name] = value
            else:
                environment.pop(name, None)
        running[rank] = subprocess.Popen(prefixes.get(rank, []) + options.command, env=environment)

    codes = {}
    result = 0
    deadline = None
    while running:
        for rank, process in list(running.items()):
            code = process.poll()
            if code is None:
                continue
            code = code if code >= 0 else 128 - code
            codes[rank] = code
            del running[rank]
            if code != 0 and deadline is None:
                result = code
                deadline = time.monotonic() + options.grace
        if running and deadline is not None and time.monotonic() > deadline:
            print("left over: rank", *running, file=sys.stderr)
            for process in running.values():
                process.send_signal(signal.SIGKILL)
                process.wait()
            result = 99
            break
        time.sleep(0.01)
    print("exit codes:", *(f"{rank}:{code}" for rank, code in sorted(codes.items())), file=sys.stderr)
    return result


if __name__ == "__main__":
    sys.exit(main())

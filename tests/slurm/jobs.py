#!/usr/bin/env python3
"""Batch jobs on a real Slurm of two nodes on this machine (local_cluster.sh), submitted as a user would.

    jobs.py PROGRAM [CASE...]

Exits with 77 and the reason where there is no Slurm or no right to start one.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SLURM = HERE.parent.parent / "slurm"
CLUSTER = HERE / "local_cluster.sh"


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


class Cluster:
    """The two nodes, a scene with its tile store, and what a test asks of them."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        started = subprocess.run([CLUSTER, "start", folder / "slurm"], capture_output=True, text=True)
        if started.returncode != 0:
            raise RuntimeError(f"the cluster did not start:\n{started.stderr}")
        self.environment = os.environ | {
            "SLURM_CONF": started.stdout.strip(), "TERRANE": str(program), "GPUS": "0", "TASKS": "2", "TASKS_PER_NODE": "1",
            "CPUS_PER_TASK": "1", "TIME": "10", "OMP_WAIT_POLICY": "passive",
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        self.run(program, "data", "synth", "-o", "scene", "--size", "512", "--seed", "3")
        self.run(program, "data", "build", "-c", "scene/scene.toml", "-o", "tiles")

    def stop(self):
        subprocess.run([CLUSTER, "stop", self.folder / "slurm"], check=False)

    def run(self, *command, check=True, folder=None, **environment):
        """A variable of None is not set."""
        variables = {name: value for name, value in (self.environment | environment).items() if value is not None}
        result = subprocess.run([str(word) for word in command], cwd=folder or self.folder, env=variables,
                                capture_output=True, text=True)
        if check and result.returncode != 0:
            raise RuntimeError(f"{command} ended with {result.returncode}:\n{result.stdout}{result.stderr}")
        return result

    def submit(self, name, *options, steps, partition="main", **environment):
        """A training of the tile store as a job of that name; returns its number."""
        result = self.run(SLURM / "submit.sh", partition, name, "scene/scene.toml", "-s", "data.tiles=tiles",
                          "-s", f"train.steps={steps}", "-s", "optim.warmup_steps=0", "-s", "eval.every=0",
                          "-s", "train.global_batch=4", "-s", "model.encoder_width=16", "--threads", "1", *options,
                          **environment)
        return re.search(r"Submitted batch job (\d+)", result.stdout).group(1)

    def show(self, job):
        text = self.run("scontrol", "show", "job", job).stdout
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def wait(self, job, wanted, seconds):
        """Until the job's state is one of `wanted`; returns what scontrol says of it."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            state = self.show(job)
            if state["JobState"] in wanted:
                return state
            time.sleep(0.3)
        raise RuntimeError(f"job {job} is {state['JobState']} after {seconds} s, not {wanted}.\n{self.log_of(job)}")

    def log_of(self, job):
        logs = list(self.folder.glob(f"*-{job}.log"))
        return logs[0].read_text(errors="replace") if logs else ""

    def model(self, name):
        """The digest of the last weights of a run."""
        return hashlib.sha256((self.folder / "runs" / name / "ckpt" / "last" / "model.safetensors").read_bytes()).hexdigest()


def expect(condition, what, cluster, job):
    if not condition:
        raise RuntimeError(f"not so: {what}\n{cluster.log_of(job)}")


STEPS = 60
ENDED = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL")


def two_nodes(cluster):
    job = cluster.submit("whole", steps=STEPS)
    state = cluster.wait(job, ENDED, 240)
    expect(state["JobState"] == "COMPLETED", "a training on two nodes completes", cluster, job)
    log = cluster.log_of(job)
    # Both nodes are this machine, so the banner counts one host.
    expect("x 2 ranks" in log and f"job {job}" in log, "the banner names both ranks and the job", cluster, job)
    expect(f"done at step {STEPS} of {STEPS}" in log, "all steps were made", cluster, job)


def time_limit(cluster):
    """The limit comes in the middle: Slurm warns, terrane saves, the job queues itself and ends with the same bits."""
    # Slurm may warn up to a minute before the time asked for: with a limit of one minute, right after the start.
    # The ranks dawdle for some steps, so that the warning finds them at work on any machine.
    job = cluster.submit("limited", steps=STEPS, TIME="1", LEAD="50", TERRANE_FAULT="sleep@step=20;times=10;seconds=2.5")
    begin = time.monotonic()
    while "queued again" not in cluster.log_of(job) and time.monotonic() - begin < 120:
        time.sleep(0.3)
    expect("queued again" in cluster.log_of(job), "the job queued itself again", cluster, job)
    cluster.wait(job, ("PENDING", "REQUEUED", "CONFIGURING"), 60)
    cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=10")
    state = cluster.wait(job, ENDED, 240)
    log = cluster.log_of(job)
    expect(state["JobState"] == "COMPLETED", "the job that was queued again completes", cluster, job)
    expect(state["Restarts"] == "1", "it was restarted once", cluster, job)
    expect(re.search(r"sig +USR1", log), "the console names the signal", cluster, job)
    step = re.search(r"resume .* at step (\d+) of", log[log.index("queued again"):])
    expect(step is not None and 0 < int(step.group(1)) < STEPS, "the training went on from a checkpoint", cluster, job)
    expect(cluster.model("limited") == cluster.model("whole"), "the weights are those of the undisturbed run, bit by bit",
           cluster, job)


def preempted(cluster):
    """A more important job wants the nodes: terrane saves within the grace, queues itself again, and ends with the same bits."""
    job = cluster.submit("preempted", steps=STEPS, partition="low", TERRANE_FAULT="sleep@step=20;times=10;seconds=2.5")
    begin = time.monotonic()
    while "start " not in cluster.log_of(job) and time.monotonic() - begin < 60:
        time.sleep(0.2)
    time.sleep(3)
    urgent = cluster.run("sbatch", "--parsable", "--partition=main", "--nodes=2", "--ntasks-per-node=1", "--exclusive",
                         "--output=/dev/null", "--wrap", "sleep 5").stdout.strip()
    cluster.wait(urgent, ("COMPLETED",), 120)
    state = cluster.wait(job, ENDED, 240)
    log = cluster.log_of(job)
    expect(re.search(r"sig +TERM", log) and "queued again" in log, "SIGTERM stops it with a checkpoint", cluster, job)
    expect(state["JobState"] == "COMPLETED" and state["Restarts"] == "1", "it was restarted once and completes", cluster, job)
    expect(cluster.model("preempted") == cluster.model("whole"), "the weights are those of the undisturbed run", cluster, job)


def from_init(cluster):
    """What docs/cluster.md tells a new user: the files that `terrane init` writes, as they are, up to a training on two nodes."""
    for modality, source in (("optical", "optical.tif"), ("labels", "labels.tif")):
        (cluster.folder / "rasters" / modality).mkdir(parents=True)
        shutil.copy(cluster.folder / "scene" / source, cluster.folder / "rasters" / modality / "scene.tif")
    cluster.run(cluster.program, "init", "--layout", "folders", "--data", cluster.folder / "rasters", "--slurm", "--partition", "main",
                "--nodes", "2", "--gpus-per-node", "0", "--tasks-per-node", "1", "--cpus-per-task", "1", "--time", "0:10:00",
                "-o", "begun")
    folder = cluster.folder / "begun"
    file = folder / "folders.toml"
    classes = "".join(f'[[class]]\nid = {i}\nname = "c{i}"\ncolor = [{30 * i}, 0, 0]\n' for i in range(7))
    text = file.read_text()
    file.write_text(text[:text.index("[[class]]\nid")] + classes + text[text.index("[split]"):].replace("block = 4", "block = 1"))
    for command in ([cluster.program, "config", "check", "-c", "folders.toml"],
                    ["srun", "-n", "2", "--mpi=pmix", cluster.program, "data", "build", "-c", "folders.toml"]):
        cluster.run(*command, folder=folder)
    environment = {name: None for name in ("TERRANE", "GPUS", "TASKS", "TASKS_PER_NODE", "CPUS_PER_TASK", "TIME")}
    result = cluster.run("sbatch", "slurm/train.sbatch", "folders.toml", "-s", "train.steps=3", "-s", "optim.warmup_steps=0", "-s",
                         "train.global_batch=2", "-s", "model.encoder_width=8", "-s", "augment.crop=64", "-s", "eval.every=0",
                         folder=folder, **environment)
    job = re.search(r"Submitted batch job (\d+)", result.stdout).group(1)
    state = cluster.wait(job, ENDED, 120)
    log = (folder / f"terrane-{job}.log").read_text()
    if state["JobState"] != "COMPLETED" or "done at step 3 of 3" not in log or not (folder / "runs/terrane/ckpt/last").exists():
        raise RuntimeError(f"the job that init wrote is {state['JobState']}:\n{log}")


def killed_rank(cluster):
    job = cluster.submit("killed", steps=100000)
    begin = time.monotonic()
    while "eval " not in cluster.log_of(job) and time.monotonic() - begin < 60:
        time.sleep(0.2)
    ranks = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes().split(b"\0")
                variables = (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if line[0] == str(cluster.program).encode() and f"SLURM_JOB_ID={job}".encode() in variables and \
                    b"SLURM_PROCID=1" in variables:
                ranks.append(int(process.name))
    expect(len(ranks) == 1, f"rank 1 is one process, not {ranks}", cluster, job)
    os.kill(ranks[0], signal.SIGKILL)
    state = cluster.wait(job, ENDED, 30)
    expect(state["JobState"] == "FAILED", "a job that lost a rank has failed", cluster, job)
    expect(state["Restarts"] == "0", "and is not queued again", cluster, job)


def refused(cluster):
    """Without PMIx every task would be rank 0 of one."""
    result = cluster.run("srun", "-N2", "-n2", "--mpi=none", cluster.program, "train", "-c", "scene/scene.toml", "-s",
                         "data.tiles=tiles", "-o", "runs/refused", check=False)
    if result.returncode != 69 or "E0120" not in result.stderr or "--mpi=pmix" not in result.stderr:
        raise RuntimeError(f"srun without PMIx ended with {result.returncode}:\n{result.stderr}")
    if (cluster.folder / "runs" / "refused").exists():
        raise RuntimeError("the refused run left a folder")


def sweep(cluster):
    """An array: every element has its own line of options and its own run folder."""
    (cluster.folder / "sweep.txt").write_text("--seed 1\n--seed 2\n")
    result = cluster.run("sbatch", "--parsable", "--array=1-2", "--gres=none", "--cpus-per-task=1", "--time=10",
                         SLURM / "sweep.sbatch", "scene/scene.toml", "sweep.txt", TERRANE_SLURM=str(SLURM),
                         TERRANE=str(cluster.folder / "dry.sh"))
    job = result.stdout.strip()
    for element in ("1", "2"):
        state = cluster.wait(f"{job}_{element}", ENDED, 60)
        expect(state["JobState"] == "COMPLETED", f"element {element} completes", cluster, f"{job}_{element}")
        said = (cluster.folder / f"sweep-{job}_{element}.log").read_text()
        expect(f"-o runs/sweep/{element} --seed {element}" in said, f"element {element} has its line", cluster,
               f"{job}_{element}")


def main():
    for tool in ("slurmctld", "slurmd", "srun", "sbatch", "scontrol"):
        if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            skip(f"{tool} is not installed (Debian: slurmctld, slurmd, slurm-client)")
    if os.geteuid() != 0:
        skip("slurmd must be started by root")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    program = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="terrane-slurm-") as name:
        folder = Path(name)
        dry = folder / "dry.sh"
        dry.write_text(f'#!/bin/sh\nexec {program} "$@" -s data.tiles=tiles --dry-run\n')
        dry.chmod(0o755)
        cluster = Cluster(program, folder)
        try:
            for case in (two_nodes, time_limit, preempted, killed_rank, refused, sweep, from_init):
                if sys.argv[2:] and case.__name__ not in sys.argv[2:]:
                    continue
                begin = time.monotonic()
                case(cluster)
                print(f"{case.__name__}: as expected, {time.monotonic() - begin:.0f} s", flush=True)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()

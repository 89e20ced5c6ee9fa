#!/usr/bin/env python3
"""The work of bench/gpu.sh, which see. Each part has its share of the time; a part that fails or is cut off is written
down as such, and the next one follows. What is measured is as the programs print it; nothing is claimed beyond."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
NETWORKS = {  # options of both sides
    "duet": ["--model", "duet", "--encoder", "resnet18", "--batch", "16", "--size", "512"],
    "pspnet": ["--model", "pspnet", "--encoder", "resnet50", "--modality", "optical:4", "--batch", "16", "--size", "512"],
    "deeplabv3": ["--model", "deeplabv3", "--encoder", "resnet50", "--modality", "optical:4", "--batch", "16", "--size", "512"],
    "setr_light": ["--model", "setr_light", "--modality", "optical:3", "--batch", "4", "--size", "512"],
    "pkdiff": ["--model", "pkdiff", "--modality", "optical:3", "--modality", "height:1", "--batch", "4", "--size", "256",
               "--set", "model.diffusion.preset=fast"],
    "pspnet_224": ["--model", "pspnet", "--encoder", "resnet50", "--modality", "optical:4", "--batch", "16", "--size", "224"],
    "duet_224": ["--model", "duet", "--encoder", "resnet18", "--batch", "16", "--size", "224"],
    "deeplabv3_224": ["--model", "deeplabv3", "--encoder", "resnet50", "--modality", "optical:4", "--batch", "16", "--size", "224"],
    "setr_mla": ["--model", "setr_mla", "--modality", "optical:3", "--batch", "8", "--size", "512"],
    "res50_aspp_lorm": ["--model", "res50_aspp_lorm", "--modality", "optical:3", "--batch", "8", "--size", "512"],
}


def terrane_options(words):
    """A network's options in terrane's own words."""
    result = []
    for key, value in zip(words[::2], words[1::2]):
        result += {"--model": ["-s", f"model.name={value}"], "--encoder": ["-s", f"model.encoder={value}"],
                   "--set": ["-s", value]}.get(key, [key, value])
    return result


class Run:
    def __init__(self, options):
        self.options = options
        self.end = time.monotonic() + options.seconds
        bundle = os.path.dirname(HERE)
        if os.path.exists(os.path.join(bundle, "terrane-bundle")):
            self.terrane = os.path.join(bundle, "bin", "terrane")
            self.tests = self.programs_in(os.path.join(bundle, "bin", "tests"))
            self.scene, self.tiles = os.path.join(bundle, "share", "scene.toml"), os.path.join(bundle, "share", "tiles")
        else:
            build = os.path.abspath(options.build)
            self.terrane = os.path.join(build, "terrane")
            self.tests = self.labelled(build)
            self.scene = self.tiles = None
        if not os.path.exists(self.terrane):
            sys.exit(f"gpu: there is no {self.terrane}; name a build folder with --build")
        self.report = {"bench": "gpu", "command": sys.argv, "device": options.device, "tiny": options.tiny, "parts": {}}
        self.table = []

    @staticmethod
    def programs_in(folder):
        return sorted(os.path.join(folder, name) for name in os.listdir(folder)) if os.path.isdir(folder) else []

    @staticmethod
    def labelled(build):
        listed = subprocess.run(["ctest", "--test-dir", build, "-L", "gpu", "-N", "--show-only=json-v1"],
                                capture_output=True, text=True)
        try:
            commands = [test.get("command", []) for test in json.loads(listed.stdout)["tests"]]
        except (ValueError, KeyError):
            return []
        return sorted({command[0] for command in commands if len(command) == 1 and os.path.exists(command[0])})

    def left(self):
        return self.end - time.monotonic()

    def say(self, text=""):
        print(text, flush=True)
        self.table.append(text)

    def call(self, command, limit, **more):
        """What a program did: exit code (None: cut off), output, seconds."""
        begin = time.monotonic()
        limit = max(1.0, min(limit, self.left()))
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, errors="replace", **more)
            code, out, err = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as error:
            code = None
            out, err = (text.decode(errors="replace") if isinstance(text, bytes) else text or ""
                        for text in (error.stdout, error.stderr))
        except OSError as error:
            code, out, err = -1, "", str(error)
        return {"code": code, "out": out, "err": err, "seconds": round(time.monotonic() - begin, 2)}

    def json_of(self, words, limit):
        done = self.call([self.terrane, *words, "--device", self.options.device], limit)
        try:
            return json.loads(done["out"]), None
        except ValueError:
            return None, ("cut off" if done["code"] is None else (done["err"] or done["out"]).strip()[-600:])

    def part(self, name, work, least):
        if self.options.only and name not in self.options.only:
            return
        if self.left() < least:
            self.report["parts"][name] = {"left_out": f"{self.left():.0f} s were left"}
            self.say(f"== {name}: left out, {self.left():.0f} s were left")
            return
        self.say(f"== {name}")
        begin = time.monotonic()
        try:
            result = work()
        except Exception as error:  # the other parts are still wanted
            result = {"failed": f"{type(error).__name__}: {error}"}
            self.say(f"failed: {result['failed']}")
        result["seconds_taken"] = round(time.monotonic() - begin, 1)
        self.report["parts"][name] = result
        self.write()

    def write(self):
        os.makedirs(self.options.out, exist_ok=True)
        for name, text in (("gpu.json", json.dumps(self.report, indent=1)), ("gpu.txt", "\n".join(self.table) + "\n")):
            path = os.path.join(self.options.out, name)
            with open(path + ".tmp", "w") as file:
                file.write(text)
            os.replace(path + ".tmp", path)

    # The parts.

    def machine(self):
        with tempfile.TemporaryDirectory() as folder:
            doctor = self.call([self.terrane, "doctor", "-o", folder], 60)
        smi = self.call(["nvidia-smi", "--query-gpu=name,uuid,driver_version,memory.total,clocks.max.sm,power.limit",
                         "--format=csv,noheader"], 20)
        torch = self.call([sys.executable, "-c", "import torch; print(torch.__version__, torch.version.cuda, "
                           "torch.backends.cudnn.version() if torch.cuda.is_available() else '')"], 90)
        self.say(doctor["out"].strip() or doctor["err"].strip())
        self.say(f"nvidia-smi  {smi['out'].strip() or smi['err'].strip()}")
        self.say(f"torch       {torch['out'].strip() or torch['err'].strip()[-200:]}")
        return {"doctor": doctor["out"], "nvidia_smi": smi["out"].strip(), "torch": torch["out"].strip()}

    def op_cases(self, program):
        """The tests of single ops, a process for each op case: a case that kills its process takes no other along."""
        listed = self.call([program, "[.names]"], 60)
        names = [line[6:] for line in listed["out"].splitlines() if line.startswith("case: ")]
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 2)) as pool:
            limit = 0.35 * self.options.seconds
            end = time.monotonic() + limit

            def run(item):
                number, name = item
                left = end - time.monotonic()
                if left < 1:
                    return name, {"code": None, "out": "", "err": "no time", "seconds": 0}
                return name, self.call([program, "[cases]"], min(left, 90), env={
                    **os.environ, "TERRANE_CASE": name, "TERRANE_ENGINE_CHOICES": f"{folder}/{number}.json", "OMP_NUM_THREADS": "2"})

            done = list(pool.map(run, enumerate(names)))
        done.append(("everything but the op cases", self.call([program, "~[cases]"], 60)))
        return done

    def gpu_tests(self):
        rows = []
        for program in self.tests:
            name = os.path.basename(program)
            done = self.op_cases(program) if name == "test_kernels_cuda" and not self.options.tiny else [("all", self.call([program], 150))]
            counts = {}
            for case, result in done:
                verdict = {0: "passed", 77: "skipped", 4: "skipped", None: "cut off"}.get(result["code"], f"failed ({result['code']})")
                counts[verdict] = counts.get(verdict, 0) + 1
                if verdict != "passed":
                    text = (result["out"] + result["err"]).strip()
                    rows.append({"test": name, "case": case, "verdict": verdict, "output": text[-3000:]})
                    self.say(f"{name} {case}: {verdict}\n    " + "\n    ".join(text.splitlines()[-8:]))
            rows.append({"test": name, "parts": len(done), "verdicts": counts, "slowest_seconds": max(r["seconds"] for _, r in done)})
            self.say(f"{name:28} " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
        if not rows:
            self.say("no test with the label gpu is here")
        return {"tests": rows}

    def small_case(self):
        return ["--batch", "2", "--size", "64", "--classes", "5", "-s", "model.name=duet", "-s", "model.encoder=resnet18",
                "-s", "model.encoder_width=16", "-s", "model.dropout=0.0", "--modality", "optical:3:1", "--modality", "height:1:2"]

    def loss_of(self, words):
        found, wrong = self.json_of(["bench", "step", *words], 90)
        return (found["loss"], None) if found else (None, wrong)

    def parity(self):
        """The loss after four updates from equal numbers: recorded and step by step must agree in every bit, a backend and
        the reference up to rounding."""
        rows = []
        for precision in ("fp32", "bf16"):
            base = [*self.small_case(), "--precision", precision, "--steps", "4", "--warm-up", "0"]
            recorded, wrong = self.loss_of(base)
            stepwise, wrong2 = self.loss_of([*base, "--per-node"])
            row = {"precision": precision, "recorded": recorded, "step_by_step": stepwise, "wrong": wrong or wrong2,
                   "equal_bits": recorded is not None and recorded == stepwise}
            if precision == "fp32":
                device, self.options.device = self.options.device, "ref"
                row["reference"], wrong = self.loss_of(base)
                self.options.device = device
                row["wrong"] = row["wrong"] or wrong
                if recorded is not None and row["reference"]:
                    row["relative_to_reference"] = abs(recorded / row["reference"] - 1)
            rows.append(row)
            self.say(f"{precision}: recorded {recorded}, step by step {stepwise}, equal bits: {row['equal_bits']}"
                     + (f", reference {row['reference']}" if row.get("reference") else "")
                     + (f"\n    {row['wrong']}" if row["wrong"] else ""))
        return {"rows": rows}

    def ops(self):
        results = {}
        size = ["--batch", "1", "--crop", "32", "--repetitions", "1"] if self.options.tiny else \
               ["--batch", "16", "--crop", "256", "--repetitions", "10"]
        for precision, network in (("bf16", "assorted"), ("bf16", "resnet50"), ("fp32", "assorted")):
            found, wrong = self.json_of(["bench", "ops", "--network", network, "--precision", precision, *size],
                                        0.12 * self.options.seconds)
            results[f"{network} {precision}"] = found or {"wrong": wrong}
            self.say(f"-- {network} {precision}" + (f": {wrong}" if wrong else
                     f": product {found['peak_flops_per_second'] * 1e-12:.1f} TFLOP/s, copy {found['peak_bytes_per_second'] * 1e-9:.0f} GB/s"))
            for row in found["ops"] if found else []:
                if "forward_flops" in row:
                    percent = [row[f"{way}_flops"] / max(row[f"{way}_seconds"], 1e-12) / found["peak_flops_per_second"]
                               for way in ("forward", "backward")]
                else:
                    percent = [row["forward_bytes"] / max(row["forward_seconds"], 1e-12) / found["peak_bytes_per_second"]]
                self.say(f"{row['name']:44} {1e3 * row['forward_seconds']:9.4f} ms {1e3 * row['backward_seconds']:9.4f} ms  "
                         + " ".join(f"{100 * one:4.0f} %" for one in percent) + f"  {row['implementation']}")
        return results

    def training(self):
        with tempfile.TemporaryDirectory() as folder:
            scene, tiles = self.scene, self.tiles
            if scene is None:
                self.call([self.terrane, "data", "synth", "-q", "-o", f"{folder}/scene", "--size", "1024", "--seed", "7"], 60)
                scene, tiles = f"{folder}/scene/scene.toml", f"{folder}/tiles"
                self.call([self.terrane, "data", "build", "-q", "-c", scene, "-o", tiles], 60)
            steps = "4" if self.options.tiny else "60"
            model = ["-s", "model.encoder_width=8", "-s", "train.global_batch=2", "-s", "augment.crop=64"] if self.options.tiny else []
            done = self.call([self.terrane, "train", "-c", scene, "-s", f"data.tiles={tiles}", "-s", f"train.steps={steps}", "-s", "optim.warmup_steps=0", *model,
                              "-s", "report.images=0", "-s", "report.tensorboard=false", "-s", "report.every=1",
                              "--progress", "none", "--device", self.options.device, "-o", f"{folder}/run"], 100)
            rows = []
            for place, _, names in os.walk(f"{folder}/run"):
                if "steps.csv" in names:
                    with open(os.path.join(place, "steps.csv")) as file:
                        rows = [line.strip() for line in file]
        self.say(f"exit code {done['code']}, {done['seconds']} s")
        for line in (rows[:1] + rows[-3:] if done["code"] == 0 else done["err"].strip().splitlines()[-12:]):
            self.say("    " + line)
        return {"code": done["code"], "seconds": done["seconds"], "steps": rows, "err": done["err"][-3000:]}

    def prepare_torch(self, names, limit):
        """torch.compile takes a minute or two for a network; what it compiles is cached, and networks compile side by side."""
        def prepare(name):
            return self.call([sys.executable, f"{HERE}/pytorch_step.py", "--terrane", self.terrane, "--device", self.options.device,
                              "--precision", "bf16", "--prepare", *NETWORKS[name]], end - time.monotonic())

        end = time.monotonic() + limit
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(prepare, names))
        verdict = {0: "", None: ", cut off"}
        self.say("compiled by PyTorch: " + ", ".join(
            f"{name} {one['seconds']:.0f} s{verdict.get(one['code'], ', failed')}" for name, one in zip(names, done)))

    def networks(self):
        """Those that were asked for; all, if none was."""
        return [name for name in NETWORKS if not self.options.network or name in self.options.network]

    def sized(self, name):
        words = list(NETWORKS[name])
        if self.options.tiny:
            words[words.index("--batch") + 1], words[words.index("--size") + 1] = "1", "64"
        return words

    def compare(self, name, share, more):
        """terrane and PyTorch, alternating; what was measured by then if the time is up."""
        words = self.sized(name)
        if self.options.tiny:
            more = ["--rounds", "1", "--steps", "1", "--no-compile", "--width", "8", "--precision", "fp32"]
        with tempfile.TemporaryDirectory() as folder:
            done = self.call([sys.executable, f"{HERE}/pytorch_step.py", "--terrane", self.terrane, "--device",
                              self.options.device, "--budget", str(0.8 * share), "--output", f"{folder}/step.json", *words, *more], share)
            try:
                with open(f"{folder}/step.json") as text:
                    return json.load(text)
            except (OSError, ValueError):
                return {"wrong": "cut off" if done["code"] is None else done["err"].strip()[-600:]}

    def steps(self):
        """First every network against PyTorch as it comes, then, as long as there is time, against what it compiles."""
        results = {}
        names = self.networks()
        self.say(f"{'network':16} {'precision':9} {'terrane ms':>10} {'torch ms':>9} {'ratio':>6}  {'launches':>8} {'waits':>6} "
                 f"{'alloc':>6} {'planned GB':>10} {'measured GB':>11}  best of torch")
        quick = ["--rounds", "1", "--steps", "10", "--precision", "bf16", "--no-compile"]
        whole = ["--rounds", "2", "--steps", "10", "--precision", "bf16"]
        for index, name in enumerate(names):
            share = min(60, (self.left() - self.after_steps()) / (len(names) - index))
            if share < 10:
                results[name] = {"wrong": "no time"}
                continue
            results[name] = self.compare(name, share, quick)
            if not results[name].get("terrane"):
                results[name] |= self.terrane_alone(self.sized(name))
            self.show_step(name, results[name])
        left = self.left() - self.after_steps()
        if self.options.device != "cuda" or left < 100:
            return results
        self.prepare_torch(names, 0.45 * left)
        for index, name in enumerate(names):
            share = (self.left() - self.after_steps()) / (len(names) - index)
            if share < 15:
                continue
            found = self.compare(name, share, whole)
            if len(found.get("rows", [])) > len(results[name].get("rows", [])):
                results[name] = found
                self.show_step(name, found)
        return results

    def after_steps(self):
        """Seconds to keep for what follows the steps."""
        return 0.08 * self.options.seconds

    def terrane_alone(self, words):
        """Where PyTorch is missing or failed: our own side at least."""
        found, wrong = self.json_of(["bench", "step", "--precision", "bf16", "--steps", "5", *terrane_options(words)], 60)
        return {"terrane": {"bf16": found or {"wrong": wrong}}}

    def show_step(self, name, result):
        if result.get("wrong"):
            self.say(f"{name:16} PyTorch: {result['wrong'].splitlines()[-1] if result['wrong'] else ''}")
        for line in result.get("left_out", []):
            self.say(f"{name:16} left out: {line.splitlines()[0][:150]}")
        for precision, ours in result.get("terrane", {}).items():
            if "wrong" in ours:
                self.say(f"{name:16} {precision:9} {ours['wrong'][-200:]}")
                continue
            counts, ratio = ours["per_step"], result.get(f"ratio_{precision}", {})
            best = next((row for row in result.get("rows", []) if row["setting"] == ratio.get("best")), None)
            self.say(f"{name:16} {precision:9} {1e3 * ours['seconds_median']:10.2f} {1e3 * best['median'] if best else float('nan'):9.2f} "
                     f"{ratio.get('median', float('nan')):6.2f}  {counts['launches']:8.0f} {counts['host_waits']:6.1f} {counts['allocations']:6.1f} "
                     f"{ours['planned_bytes'] * 1e-9:10.2f} {ours['measured_bytes'] * 1e-9:11.2f}  {ratio.get('best', '')}")

    def kernels(self):
        """Where the time goes on the GPU, by bench/kernel_times."""
        library = os.path.join(HERE, "kernel_times", "libkernel_times.so")
        if self.options.device != "cuda" or not os.path.exists(library):
            self.say("libkernel_times.so is not here, or no GPU")
            return {"left_out": "not here"}
        results = {}
        for name in self.networks():
            if self.left() < self.after_steps() + 20:
                break
            ours = terrane_options(NETWORKS[name])
            with tempfile.TemporaryDirectory() as folder:
                self.call([self.terrane, "bench", "step", "--device", "cuda", "--precision", "bf16", "--steps", "4", *ours], 60,
                          env={**os.environ, "CUDA_INJECTION64_PATH": library, "TERRANE_KERNEL_TIMES": f"{folder}/times.json"})
                shown = self.call([sys.executable, os.path.join(HERE, "kernel_times", "table.py"), f"{folder}/times.json",
                                   "--steps", "6", "--rows", "15"], 20)  # and two of the warm-up are replayed
                results[name] = shown["out"].splitlines()
            self.say(f"-- {name}\n" + shown["out"].rstrip() + shown["err"][-300:])
        return results

    def sanitizer(self):
        tool = shutil.which("compute-sanitizer")
        program = next((test for test in self.tests if test.endswith("test_kernels_cuda")), None)
        if program is None:
            self.say("test_kernels_cuda is not here")
            return {"left_out": "not here"}
        # A filter that selects nothing would look like a clean run.
        selection, listed = "[cases]", self.call([program, "--list-tests", "[cases]"], 60)
        found = re.search(r"(\d+) (?:matching )?test cases?", listed["out"])
        selected = int(found.group(1)) if found else 0
        if selected == 0:
            raise RuntimeError(f"{selection} selects no test: {(listed['out'] + listed['err']).strip()[-300:]}")
        if tool is None or self.options.device != "cuda":
            self.say(f"compute-sanitizer is not here, or no GPU; {selected} tests would run")
            return {"left_out": "not here", "selected": selected}
        rows = []
        for check in ("memcheck", "racecheck"):
            done = self.call([tool, "--tool", check, "--error-exitcode", "9", program, selection],
                             0.5 * max(2.0, self.left() - 5), env={**os.environ, "TERRANE_CASE": "batch norm*"})
            lines = (done["out"] + done["err"]).strip().splitlines()
            rows.append({"tool": check, "code": done["code"], "output": lines[-40:]})
            self.say(f"{check}: " + ("cut off" if done["code"] is None else f"exit code {done['code']}") + (f"  {lines[-1]}" if lines else ""))
        return {"selected": selected, "rows": rows}

    def all(self):
        self.part("machine", self.machine, 5)
        self.part("tests", self.gpu_tests, 20)
        self.part("parity", self.parity, 20)
        self.part("training", self.training, 20)
        self.part("ops", self.ops, 20)
        self.part("steps", self.steps, 30)
        self.part("kernels", self.kernels, 30)
        self.part("sanitizer", self.sanitizer, 10)
        self.say(f"took {self.options.seconds - self.left():.0f} s; {self.options.out}/gpu.json, {self.options.out}/gpu.txt")
        self.write()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(os.path.dirname(HERE), "build", "release"), help="without a bundle")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--out", default=os.path.join(HERE, "results"))
    parser.add_argument("--seconds", type=float, default=520, help="for all parts together")
    parser.add_argument("--only", action="append", help="a part: machine, tests, parity, training, ops, steps, kernels, sanitizer; repeatable")
    parser.add_argument("--network", action="append", choices=sorted(NETWORKS), help="in steps; repeatable")
    parser.add_argument("--tiny", action="store_true", help="sizes that show only that the script works")
    Run(parser.parse_args()).all()


if __name__ == "__main__":
    main()

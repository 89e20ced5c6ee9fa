#!/usr/bin/env python3
"""Writes a run's records the way Weights & Biases holds them, and uploads them when asked to.

usage: export_wandb.py RUN [-o FOLDER]                    writes FOLDER (default: RUN/wandb-export)
       export_wandb.py RUN --upload --project NAME [--entity NAME] [--name NAME]

FOLDER then holds config.json (every effective configuration value), history.jsonl (one object per step, the tags of the
TensorBoard files), summary.json (the newest value of each tag, and the best evaluation) and metadata.json. Nothing but
the standard library is needed for that. --upload hands the same to the official client (pip install wandb), which takes
the key from its own login or WANDB_API_KEY; with WANDB_MODE=offline it leaves a folder for `wandb sync`. This script
neither reads nor writes keys.
"""

import argparse
import csv
import datetime
import json
import math
import os
import pathlib
import sys
import tomllib

STEP_TAGS = {"loss": "train/loss", "lr": "train/lr", "grad_norm": "train/grad_norm", "io_wait": "train/io_wait",
             "tiles_per_second": "train/tiles_per_second", "epoch": "train/epoch"}
EVALUATION_TAGS = {"train_loss": "train/epoch_loss", "val_loss": "val/loss", "oa": "val/OA", "miou": "val/mIoU",
                   "mf1": "val/mF1", "kappa": "val/kappa", "memory_gib": "train/memory_gib"}


class Damaged(Exception):
    pass


def rows(file):
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def numbers(row, tags):
    values = {}
    for column, tag in tags.items():
        text = row.get(column) or ""
        if text:
            value = float(text)
            if math.isfinite(value):
                values[tag] = int(value) if column == "epoch" else value
    return values


def history_of(run):
    """One object per step, ascending; an evaluation belongs to the step it followed."""
    steps = {}
    for name, fixed_tags in (("steps.csv", STEP_TAGS), ("metrics.csv", EVALUATION_TAGS)):
        for number, row in enumerate(rows(run / name), start=2):
            try:
                step = int(row["step"])
                tags = fixed_tags | {column: "val/IoU/" + column[4:] for column in row if column and column.startswith("iou ")}
                steps.setdefault(step, {"_step": step}).update(numbers(row, tags))
            except (KeyError, TypeError, ValueError) as error:
                raise Damaged(f"{run / name}, line {number}: {error}") from None
    return [steps[step] for step in sorted(steps)]


def summary_of(history, best):
    summary = {}
    for entry in history:
        summary.update(entry)
    tag = EVALUATION_TAGS.get(best, "val/mIoU")
    evaluated = [entry for entry in history if tag in entry]
    if evaluated:
        chosen = max(evaluated, key=lambda entry: entry[tag])
        summary["best/step"] = chosen["_step"]
        summary |= {"best/" + name[4:]: value for name, value in chosen.items() if name.startswith("val/")}
    return summary


def records_of(run):
    if not (run / "run.json").is_file():
        raise Damaged(f"{run} is not the folder of a run: it has no run.json")
    try:
        description = json.loads((run / "run.json").read_text(encoding="utf-8"))
        config = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))
        started = description["starts"][0]["time"]
        metadata = {"program": description["program"], "identity": description["identity"], "starts": description["starts"],
                    "startedAt": datetime.datetime.strptime(started, "%Y-%m-%dT%H:%M:%S%z").isoformat()}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise Damaged(f"run.json or config.toml of {run} can't be used: {error}") from None
    config.pop("runtime", None)
    history = history_of(run)
    best = config.get("eval", {}).get("best", "miou")
    return {"config": config, "metadata": metadata, "history": history, "summary": summary_of(history, best)}


def write(path, text):
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def export(records, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config", "metadata", "summary"):
        write(folder / f"{name}.json", json.dumps(records[name], indent=2, ensure_ascii=False) + "\n")
    write(folder / "history.jsonl", "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in records["history"]))


def upload(records, run, arguments):
    try:
        import wandb
    except ImportError:
        sys.exit("export_wandb: the client is missing: pip install wandb")
    with wandb.init(project=arguments.project, entity=arguments.entity, name=arguments.name or run.resolve().name,
                    config=records["config"], settings=wandb.Settings(console="off")) as target:
        for entry in records["history"]:
            target.log({tag: value for tag, value in entry.items() if tag != "_step"}, step=entry["_step"])
        pictures = {f"preview/{file.stem}": wandb.Image(str(file)) for file in sorted((run / "preview").glob("*.png"))}
        if pictures:
            target.log(pictures, step=records["history"][-1]["_step"] if records["history"] else 0)
        target.summary.update({tag: value for tag, value in records["summary"].items() if tag != "_step"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, metavar="RUN")
    parser.add_argument("-o", "--out", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--upload", action="store_true")
    parser.add_argument("--project")
    parser.add_argument("--entity")
    parser.add_argument("--name")
    arguments = parser.parse_args()
    if arguments.upload and not arguments.project:
        parser.error("--upload needs --project")
    try:
        records = records_of(arguments.run)
        if arguments.upload:
            upload(records, arguments.run, arguments)
            return
        folder = arguments.out or arguments.run / "wandb-export"
        export(records, folder)
        print(f"{folder}: {len(records['history'])} steps, {len(records['config'])} tables of configuration")
    except Damaged as error:
        sys.exit(f"export_wandb: {error}")
    except OSError as error:
        sys.exit(f"export_wandb: {error}")


if __name__ == "__main__":
    main()

"""A training that is killed and goes on leaves records that are whole, read by TensorBoard's own reader.

usage: observing.py TERRANE [MPIRUN ARGUMENT...]     exit code 77: tensorboard is not installed here
"""

import csv
import io
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import python_tools  # noqa: E402

numpy, image, event_accumulator = python_tools.need(
    "numpy", "PIL.Image", "tensorboard.backend.event_processing.event_accumulator")

STEPS, EVERY = 60, 10
PER_STEP = {"train/loss": "loss", "train/lr": "lr", "train/grad_norm": "grad_norm",
            "train/tiles_per_second": "tiles_per_second", "train/io_wait": "io_wait", "train/epoch": "epoch"}
PER_EVALUATION = {"train/epoch_loss": "train_loss", "val/loss": "val_loss", "val/OA": "oa", "val/mIoU": "miou",
                  "val/mF1": "mf1", "val/kappa": "kappa"}


def rows(path):
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def events(folder):
    accumulator = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def compare(accumulator, tag, table, column):
    expected = [(int(row["step"]), float(row[column])) for row in table if row[column] != ""]
    found = [(scalar.step, scalar.value) for scalar in accumulator.Scalars(tag)]
    assert [step for step, _ in found] == [step for step, _ in expected], (tag, found, expected)
    numpy.testing.assert_allclose([value for _, value in found], [value for _, value in expected], rtol=1e-6,
                                  err_msg=tag)


def killed(command, steps):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while len(rows(steps)) < STEPS // 2 + 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def accuracy(accumulator, colors, tiles):
    """Overall accuracy of the last evaluation, counted from the pictures: the last two panels of every one."""
    equal = labelled = 0
    for tag in tiles:
        newest = accumulator.Images(tag)[-1]
        assert newest.step == STEPS
        picture = numpy.asarray(image.open(io.BytesIO(newest.encoded_image_string)))
        edge = picture.shape[0]
        assert picture.shape == (newest.height, newest.width, 3)
        predicted, truth = picture[:, -edge:], picture[:, -2 * edge - 4:-edge - 4]
        assert set(map(tuple, predicted.reshape(-1, 3).tolist())) <= colors, tag
        valid = truth.any(axis=2)
        equal += (predicted == truth).all(axis=2)[valid].sum()
        labelled += valid.sum()
    return equal / labelled


def main(terrane, mpirun):
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        scene, run = folder / "scene" / "scene.toml", folder / "run"
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([terrane, "data", "synth", "-o", str(folder / "scene"), "--size", "512", "--seed", "5"], **quiet)
        configured = ["-c", str(scene), "-s", f"data.tiles={folder / 'tiles'}", "-s", "grid.tile=64", "-s",
                      "split.block=1", "-s", "split.fractions=[0.7,0.2,0.1]"]
        subprocess.run([terrane, "data", "build", *configured], **quiet)
        train = ["train", *configured, "-o", str(run), "-s", f"train.steps={STEPS}", "-s", "train.global_batch=4", "-s",
                 f"eval.every_steps={EVERY}", "-s", "report.images=64"]

        killed([terrane, *train], run / "steps.csv")
        before = events(run / "tb")
        assert before.Scalars("val/mIoU")[-1].step >= STEPS // 2, "an evaluation before the kill is missing"
        assert before.file_version == 2, before.file_version
        subprocess.run([*mpirun, terrane, *train], check=True)

        steps, metrics = rows(run / "steps.csv"), rows(run / "metrics.csv")
        assert [int(row["step"]) for row in steps] == list(range(1, STEPS + 1)), "steps.csv has not one row per step"
        assert [int(row["step"]) for row in metrics] == list(range(EVERY, STEPS + 1, EVERY)), metrics
        log = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
        assert [entry["event"] for entry in log if entry["event"] in ("started", "continued", "finished")] == [
            "started", "continued", "finished"]

        assert len(list((run / "tb").iterdir())) == 2
        after = events(run / "tb")
        for tag, column in PER_STEP.items():
            compare(after, tag, steps, column)
        for tag, column in PER_EVALUATION.items():
            compare(after, tag, metrics, column)
        classes = tomllib.loads((run / "config.toml").read_text())["class"]
        of_classes = {f"val/IoU/{entry['name']}": f"iou {entry['name']}" for entry in classes}
        for tag, column in of_classes.items():
            if any(row[column] for row in metrics):
                compare(after, tag, metrics, column)
        assert set(after.Tags()["scalars"]) <= {*PER_STEP, *PER_EVALUATION, *of_classes}

        assert [shown.step for shown in after.Images("val/confusion")] == list(range(EVERY, STEPS + 1, EVERY))
        tiles = sorted(tag for tag in after.Tags()["images"] if tag.startswith("val/tile_"))
        assert len(tiles) > 2, tiles
        assert sorted(path.stem for path in (run / "preview").iterdir()) == [tag[len("val/"):] for tag in tiles]
        colors = {tuple(entry["color"]) for entry in classes}
        counted = accuracy(after, colors, tiles)
        assert abs(counted - float(metrics[-1]["oa"])) < 1e-6, (counted, metrics[-1]["oa"])
        print(f"{len(steps)} steps, {len(metrics)} evaluations, {len(tiles)} tiles: OA {counted:.4f} in both")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

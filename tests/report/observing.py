"""A training that is killed and goes on leaves records that are whole, read by TensorBoard's own reader.

usage: observing.py TERRANE [MPIRUN ARGUMENT...]     exit code 77: tensorboard is not installed here
"""

import base64
import csv
import io
import json
import pathlib
import signal
import subprocess
import sys
import shutil
import tempfile
import time
import tomllib
import xml.etree.ElementTree

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


def check_page(terrane, run, classes, metrics):
    """The page holds what the run recorded, is well-formed, needs nothing from elsewhere, and shows text as text."""
    hostile = '</pre><script src="https://example.com/x.js">alert(1)</script>'
    other = run.parent / "other & <b>run"
    shutil.copytree(run, other)
    renamed = classes[0]["name"]
    for path in other.glob("confusion/*/metrics.json"):
        text = json.loads(path.read_text())
        assert text["classes"][0]["name"] == renamed
        text["classes"][0]["name"] = text["protocol"] = hostile
        path.write_text(json.dumps(text))
    text = (other / "config.toml").read_text()
    (other / "config.toml").write_text(text.replace("lr = ", "lr = 7 # " + hostile + " ", 1))
    page = run.parent / "page.html"
    for runs in ([run], [run, other]):
        subprocess.run([terrane, "report", *map(str, runs), "-o", str(page)], check=True, stdout=subprocess.DEVNULL)
        root = xml.etree.ElementTree.parse(page).getroot()
        tags = [element.tag for element in root.iter()]
        assert "script" not in tags and "link" not in tags
        sources = [element.attrib["src"] for element in root.iter() if "src" in element.attrib]
        assert all("href" not in element.attrib for element in root.iter())
        pictures = sorted((run / "preview").glob("*.png"))[:8]
        expected = ["data:image/png;base64," + base64.b64encode(path.read_bytes()).decode() for path in pictures]
        assert sources == expected * len(runs)
        assert tags.count("svg") == 8 and tags.count("polyline") == 8 * len(runs)
        text = "".join(root.itertext())
        best = max(metrics, key=lambda row: float(row["miou"]))
        assert f"{100 * float(best['miou']):.2f}" in text and all(entry["name"] in text for entry in classes)
        if other in runs:
            assert hostile in text and "lr" in text and other.name in text
    (other / "metrics.csv").write_text((other / "metrics.csv").read_text() + "1,2\n")
    refused = subprocess.run([terrane, "report", str(other), "-o", str(page)], capture_output=True, text=True)
    assert refused.returncode == 65 and "E0905" in refused.stderr, refused
    refused = subprocess.run([terrane, "report", str(run.parent), "-o", str(page)], capture_output=True, text=True)
    assert refused.returncode == 66 and "E0902" in refused.stderr, refused


def check_export(run, steps, metrics):
    script = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "export_wandb.py"
    subprocess.run([sys.executable, str(script), str(run)], check=True, stdout=subprocess.DEVNULL)
    folder = run / "wandb-export"
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [entry["_step"] for entry in history] == [int(row["step"]) for row in steps]
    assert [entry["train/loss"] for entry in history] == [float(row["loss"]) for row in steps]
    evaluated = {entry["_step"]: entry["val/mIoU"] for entry in history if "val/mIoU" in entry}
    assert evaluated == {int(row["step"]): float(row["miou"]) for row in metrics}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["best/mIoU"] == max(evaluated.values()) and summary["val/mIoU"] == evaluated[STEPS]
    assert json.loads((folder / "config.json").read_text())["train"]["steps"] == STEPS
    assert subprocess.run([sys.executable, str(script), str(run.parent)], capture_output=True).returncode == 1


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
        check_export(run, steps, metrics)
        check_page(terrane, run, classes, metrics)
        print(f"{len(steps)} steps, {len(metrics)} evaluations, {len(tiles)} tiles: OA {counted:.4f} in both")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

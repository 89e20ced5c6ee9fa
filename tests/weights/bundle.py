"""terrane export --format bundle: a folder whose STAC item has what STAC 1.1.0 and the MLM extension 1.4.0 require, and says
the truth about the files; predictions go on with the weights in it; nothing is left of one that failed.

usage: bundle.py TERRANE RUN_NETWORK
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile


def export(terrane, weights, folder, *options):
    command = [terrane, "export", str(weights), "-o", str(folder), "--format", "bundle", *options]
    return subprocess.run(command, capture_output=True, text=True)


def check_shapes(folder, batch, edge):
    """Batch and edge of the finest modality and of the output; -1 where any will do, as without an ONNX file."""
    properties = json.loads((folder / "item.json").read_text())["properties"]
    shapes = {entry["name"]: entry["input"]["shape"] for entry in properties["mlm:input"]}
    assert shapes["optical"] == [batch, len(properties["mlm:input"][0]["bands"]), edge, edge], shapes
    assert shapes["presence"] == [batch, 2, 1, 1], shapes
    assert properties["mlm:output"][0]["result"]["shape"] == [batch, 5, edge, edge]


def check_item(folder, onnx):
    item = json.loads((folder / "item.json").read_text())
    assert item["type"] == "Feature" and item["stac_version"] == "1.1.0" and item["id"] == folder.name
    # Without a place a geometry must be null and a bounding box absent.
    assert item["geometry"] is None and "bbox" not in item and item["links"] == []
    assert any("/mlm/v1.4.0/" in extension for extension in item["stac_extensions"])
    properties = item["properties"]
    assert properties["datetime"].endswith("Z")
    for key in ("mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"):
        assert properties[key], key
    assert properties["mlm:tasks"] == ["semantic-segmentation"]
    assert properties["mlm:total_parameters"] > 1000
    named = {band["name"] for band in properties["bands"]}
    for entry in properties["mlm:input"]:
        structure = entry["input"]
        assert len(structure["shape"]) == len(structure["dim_order"]) == 4 and structure["data_type"] == "float32"
        assert set(entry["bands"]) <= named
        if entry["name"] != "presence":
            assert structure["shape"][1] == len(entry["bands"]) == len(entry["value_scaling"])
            assert all(scale["type"] == "z-score" and scale["stddev"] > 0 for scale in entry["value_scaling"])
    assert [entry["name"] for entry in properties["mlm:input"]] == ["optical", "height", "presence"]
    (output,) = properties["mlm:output"]
    classes = output["classification:classes"]
    assert output["result"]["shape"][1] == len(classes) == 5
    assert all(len(entry["color_hint"]) == 6 and int(entry["color_hint"], 16) >= 0 and entry["name"] for entry in classes)

    found = {path.name for path in folder.iterdir()} - {"item.json"}
    assert found == {asset["href"][2:] for asset in item["assets"].values()}, found
    assert ("model.onnx" in found) == onnx
    for asset in item["assets"].values():
        content = (folder / asset["href"]).read_bytes()
        assert "mlm:model" in asset["roles"] and asset["mlm:artifact_type"]
        assert asset["file:size"] == len(content)
        assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()


def main(terrane, run_network):
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        for model, encoder, norm, onnx in (("pspnet", "resnet18", "batch", True), ("pkdiff", "auto", "group", False)):
            weights, folder = work / f"{model}.safetensors", work / f"{model}_bundle"
            subprocess.run([run_network, "random", model, encoder, norm, str(weights)], check=True)
            done = export(terrane, weights, f"{folder}/")
            assert done.returncode == 0, done.stderr
            check_item(folder, onnx)
            crop = json.loads((folder / "item.json").read_text())["properties"]["mlm:hyperparameters"]["crop"]
            check_shapes(folder, *((1, crop) if onnx else (-1, -1)))
            assert (folder / "model.safetensors").read_bytes() == weights.read_bytes()
            again = export(terrane, weights, folder)
            assert again.returncode == 73 and "exists already" in again.stderr
            assert export(terrane, weights, folder, "--overwrite", "--size", "96", "--batch", "2").returncode == 0
            check_item(folder, onnx)
            check_shapes(folder, *((2, 96) if onnx else (-1, -1)))
        broken = work / "broken.safetensors"
        broken.write_bytes(b"\0" * 20)
        assert export(terrane, broken, work / "no").returncode == 65
        assert sorted(path.name for path in work.iterdir()) == [
            "broken.safetensors", "pkdiff.safetensors", "pkdiff_bundle", "pspnet.safetensors", "pspnet_bundle"]


main(*sys.argv[1:])

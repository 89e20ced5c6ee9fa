"""Files written by torchvision, timm and PyTorch itself load with nothing missing, and equal weights give equal outputs.

usage: packages.py TERRANE RUN_NETWORK     exit code 77: torchvision or timm is not installed here
"""

import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import python_tools  # noqa: E402

numpy, torch, torchvision, timm, safetensors, safetensors_torch = python_tools.need(
    "numpy", "torch", "torchvision", "timm", "safetensors.numpy", "safetensors.torch")


def terrane_import(terrane, folder, file, *options):
    report = folder / "report.json"
    subprocess.run([terrane, "import", str(file), "-o", str(folder / "imported.safetensors"), "--overwrite", "--report",
                    str(report), *options], check=True, stdout=subprocess.DEVNULL)
    return json.loads(report.read_text()), safetensors.load_file(folder / "imported.safetensors")


def resnet(terrane, run_network, folder):
    torch.manual_seed(3)
    model = torchvision.models.resnet50().eval()
    for module in model.modules():  # statistics that matter
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.weight, 0.7, 0.1)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        x = model.maxpool(model.relu(model.bn1(model.conv1(image))))
        expected = model.layer4(model.layer3(model.layer2(model.layer1(x))))
    safetensors.save_file({"image": numpy.ascontiguousarray(image.permute(0, 2, 3, 1).numpy())}, folder / "image.safetensors")
    for legacy in (False, True):
        file = folder / f"resnet50_{legacy}.pth"
        torch.save(model.state_dict(), file, _use_new_zipfile_serialization=not legacy)
        answer = subprocess.run([run_network, "resnet50", str(file), str(folder / "image.safetensors"),
                                 str(folder / "features.safetensors")], check=True, capture_output=True, text=True)
        report = json.loads(answer.stdout)
        assert report["missing"] == [] and report["unexpected"] == ["fc.bias", "fc.weight"], report["missing"]
        ours = torch.as_tensor(safetensors.load_file(folder / "features.safetensors")["features"]).permute(0, 3, 1, 2)
        difference = ((ours - expected).abs().max() / expected.abs().max()).item()
        print(f"torchvision ResNet-50: features differ by {difference:.1e} of their largest")
        assert difference < 1e-4

    report, _ = terrane_import(terrane, folder, file, "--model", "pspnet", "-s", "model.pyramid.stem=single",
                               "-s", "model.encoder=resnet50", "--bands", "5", "--classes", "6", "--size", "64")
    assert all(name.startswith(("decode_head.", "auxiliary_head.")) for name in report["missing"]), report["missing"]
    assert [entry["tensor"] for entry in report["extended"]] == ["backbone.conv1.weight"]


def vision_transformer(run_network, folder):
    """SETR drops the class token before the blocks, so the reference is timm's own network without one."""
    torch.manual_seed(4)
    model = timm.create_model("vit_base_patch16_224")
    file = folder / "vit_base_patch16_224.pth"
    torch.save(model.state_dict(), file)
    bare = timm.create_model("vit_base_patch16_224", class_token=False, global_pool="avg", fc_norm=False).eval()
    state = {name: value for name, value in model.state_dict().items() if name != "cls_token"}
    state["pos_embed"] = state["pos_embed"][:, 1:]
    bare.load_state_dict(state)
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = bare.forward_intermediates(image, intermediates_only=True)
    safetensors.save_file({"image": numpy.ascontiguousarray(image.permute(0, 2, 3, 1).numpy())}, folder / "image.safetensors")
    for network, decoder, left_over in (
            ("setr_light", ("mla_projs.", "decoder.", "head."), ["cls_token"]),
            ("setr_mla", ("backbone.norm_", "backbone.mla.", "decode_head."), ["head.bias", "head.weight", "norm.bias", "norm.weight"])):
        answer = subprocess.run([run_network, "vit", network, str(file), str(folder / "image.safetensors"),
                                 str(folder / "blocks.safetensors")], check=True, capture_output=True, text=True)
        report = json.loads(answer.stdout)
        assert [name for name in report["missing"] if not name.startswith(decoder)] == [], report["missing"]
        assert report["unexpected"] == left_over, report["unexpected"]
        ours = safetensors.load_file(folder / "blocks.safetensors")
        assert len(ours) == len(expected) == 12
        differences = [(torch.as_tensor(ours[f"block{i}"]).permute(0, 3, 1, 2) - block).abs().max() / block.abs().max()
                       for i, block in enumerate(expected)]
        print(f"timm ViT-B/16 in {network}: {len(report['loaded'])} tensors, blocks differ by {max(differences):.1e} of their largest")
        assert max(differences) < 1e-4


def round_trip(terrane, run_network, folder):
    """Ours, exported, read by PyTorch's own safetensors, saved as .pth, imported: the same numbers."""
    model, exported = folder / "model.safetensors", folder / "exported.safetensors"
    subprocess.run([run_network, "random", "pspnet", "resnet18", "batch", str(model)], check=True)
    subprocess.run([terrane, "export", str(model), "-o", str(exported)], check=True, stdout=subprocess.DEVNULL)
    state = safetensors_torch.load_file(str(exported))
    assert state["backbone.layer1.0.conv1.weight"].shape == (16, 16, 3, 3)
    assert state["backbone.stem.1.num_batches_tracked"].dtype == torch.int64
    native = safetensors.load_file(model)
    torch.save({"state_dict": {"module." + name: value for name, value in state.items()}}, folder / "again.pth")
    for file in (exported, folder / "again.pth"):
        report, numbers = terrane_import(terrane, folder, file, "--model", "pspnet", "-s", "model.encoder=resnet18", "-s",
                                         "model.encoder_width=16", "--modality", "optical:3", "--modality", "height:1:2",
                                         "--classes", "5", "--size", "64")
        assert report["missing"] == [] and report["unexpected"] == [], report
        assert sorted(numbers) == sorted(native)
        assert all(numpy.array_equal(numbers[name], native[name]) for name in native)
    print(f"{len(native)} tensors came back bit for bit")


def main(terrane, run_network):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        resnet(terrane, run_network, folder)
        vision_transformer(run_network, folder)
        round_trip(terrane, run_network, folder)


main(*sys.argv[1:])

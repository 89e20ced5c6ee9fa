"""What PyTorch itself writes is read bit for bit: both formats of torch.save, every element type, views, shared storages,
parameters, whole modules, and checkpoints full of other things.

usage: torch_files.py LIST_TENSORS     exit code 77: PyTorch is not installed here
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import python_tools  # noqa: E402

torch = python_tools.need("torch")
from twins import safetensors  # noqa: E402


def read(tool, path, *part, expect=0):
    out = path.with_suffix(".safetensors")
    answer = subprocess.run([tool, str(path), str(out), *part], capture_output=True, text=True)
    assert answer.returncode == expect, (path.name, answer.returncode, answer.stdout, answer.stderr)
    return (safetensors.read(str(out)) if expect == 0 else {}), answer.stdout


def same(ours, theirs):
    assert sorted(ours) == sorted(theirs), (sorted(ours), sorted(theirs))
    for name, value in theirs.items():
        mine = torch.as_tensor(ours[name])
        value = value.detach()
        if value.dtype == torch.bool:
            value = value.to(torch.uint8)
        assert tuple(mine.shape) == tuple(value.shape), name
        assert mine.dtype == value.dtype, (name, mine.dtype, value.dtype)
        assert torch.equal(mine.contiguous(), value.contiguous()), name


def main(tool):
    generator = torch.Generator().manual_seed(7)
    base = torch.randn(4, 6, generator=generator)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5), torch.nn.Linear(4, 2))
    tensors = {
        "plain": base, "transposed": base.t(), "slice": base[1:3, ::2], "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3),
        "double": base.double(), "half": base.half(), "long": torch.arange(5), "int": torch.arange(4, dtype=torch.int32),
        "short": torch.arange(4, dtype=torch.int16), "char": torch.arange(4, dtype=torch.int8),
        "byte": torch.arange(4, dtype=torch.uint8), "bool": torch.tensor([True, False, True]),
        "parameter": torch.nn.Parameter(base[0]), "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }
    cases = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for zipped in (True, False):
            for protocol in (2, 4):
                def save(name, content):
                    path = folder / f"{name}_{zipped}_{protocol}.pth"
                    torch.save(content, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
                    return path

                same(read(tool, save("plain", tensors))[0], tensors)
                optimizer = torch.optim.AdamW(network.parameters())
                network[2](torch.randn(1, 4)).sum().backward()
                optimizer.step()
                checkpoint = {"epoch": 3, "arch": "x", "args": argparse.Namespace(lr=0.1, betas=(0.9, 0.999)),
                              "best": base.numpy().mean(), "optimizer": optimizer.state_dict(), "size": torch.Size([1, 2]),
                              "state_dict": network.state_dict(), "when": pathlib.PurePosixPath("/tmp")}
                ours, notes = read(tool, save("checkpoint", checkpoint))
                same(ours, network.state_dict())
                assert 'took the weights under "state_dict"' in notes and "argparse.Namespace" in notes, notes
                same(read(tool, save("module", network))[0], network.state_dict())
                same(read(tool, save("ema", {"teacher": {"module." + k: v for k, v in tensors.items()}, "student": {}}))[0],
                     {"module." + k: v for k, v in tensors.items()})
                _, refusal = read(tool, save("nothing", {"epoch": 1}), expect=65)
                assert "no tensor in it" in refusal, refusal
                _, refusal = read(tool, save("part", checkpoint), "ema", expect=65)
                assert 'no part "ema"' in refusal, refusal
                cases += 6
    print(f"{cases} files of PyTorch {torch.__version__} read")


main(sys.argv[1])

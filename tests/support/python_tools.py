"""Runs the rest of a test under build/python, the virtual environment that scripts/setup.sh prepares (PyTorch and
torchvision from the system, timm, safetensors, onnx, onnxruntime and tensorboard from the Python index), and says what is missing.

Import it first; then `need("torch", "timm")` returns the modules or ends the test as skipped (exit code 77).
"""

import importlib
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = ROOT / "build" / "python" / "bin" / "python"

if PYTHON.exists() and pathlib.Path(sys.prefix) != PYTHON.parents[1] and "TERRANE_PYTHON_TOOLS" not in os.environ:
    os.environ["TERRANE_PYTHON_TOOLS"] = "1"
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

sys.path.insert(0, str(ROOT / "bench"))


def need(*names):
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ImportError as error:
            print(f"SKIPPED: {name} can't be imported ({error}); scripts/setup.sh prepares build/python")
            sys.exit(77)
    return modules if len(modules) > 1 else modules[0]

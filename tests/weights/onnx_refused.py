"""A network with operations that ONNX lacks is refused by name, and no file is left.

usage: onnx_refused.py TERRANE RUN_NETWORK
"""

import pathlib
import subprocess
import sys
import tempfile


def main(terrane, run_network):
    with tempfile.TemporaryDirectory() as folder:
        weights, exported = f"{folder}/model.safetensors", pathlib.Path(folder, "model.onnx")
        subprocess.run([run_network, "random", "pkdiff", "auto", "group", weights], check=True)
        answer = subprocess.run([terrane, "export", weights, "-o", exported], capture_output=True, text=True)
        print(answer.stderr.strip())
        assert answer.returncode == 65, answer.returncode
        assert "E0626" in answer.stderr and "no counterpart in ONNX" in answer.stderr and ".safetensors" in answer.stderr
        assert [path.name for path in pathlib.Path(folder).iterdir()] == ["model.safetensors"]


main(*sys.argv[1:])

"""An exported ONNX model passes the checker, and onnxruntime computes what terrane predicts, within 1e-4.

usage: onnx_parity.py TERRANE RUN_NETWORK MODEL ENCODER NORM     exit code 77: onnx or onnxruntime is not installed here
"""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import python_tools  # noqa: E402

numpy, onnx, onnxruntime, safetensors = python_tools.need("numpy", "onnx", "onnxruntime", "safetensors.numpy")


def main(terrane, run_network, model, encoder, norm):
    generator = numpy.random.default_rng(11)
    with tempfile.TemporaryDirectory() as folder:
        weights, exported = f"{folder}/model.safetensors", f"{folder}/model.onnx"
        subprocess.run([run_network, "random", model, encoder, norm, weights], check=True)
        subprocess.run([terrane, "export", weights, "-o", exported], check=True)
        inputs = {"optical": generator.normal(size=(1, 64, 64, 3)), "height": generator.normal(size=(1, 32, 32, 1)),
                  "presence": numpy.ones((1, 1, 1, 2))}
        inputs = {name: value.astype(numpy.float32) for name, value in inputs.items()}
        safetensors.save_file(inputs, f"{folder}/inputs.safetensors")
        subprocess.run([run_network, "predict", weights, f"{folder}/inputs.safetensors", f"{folder}/out.safetensors"], check=True)
        ours = safetensors.load_file(f"{folder}/out.safetensors")["probabilities"]

        onnx.checker.check_model(exported, full_check=True)
        session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
        fed = {value.name: numpy.ascontiguousarray(inputs[value.name].transpose(0, 3, 1, 2)) for value in session.get_inputs()}
        theirs = session.run(["probabilities"], fed)[0].transpose(0, 2, 3, 1)
    difference = float(numpy.abs(ours - theirs).max())
    spread = float(theirs.max() - theirs.min())
    print(f"{model} {encoder} {norm}: {theirs.shape}, largest difference {difference:.2e}, probabilities spread over {spread:.3f}")
    assert ours.shape == theirs.shape == (1, 64, 64, 5)
    assert spread > 0.01, "an output that is flat proves nothing"
    assert difference < 1e-4


main(*sys.argv[1:])

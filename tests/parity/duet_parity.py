"""duet equals its PyTorch twin: forward within 1e-4, every gradient within 1e-3 relative, batch-norm statistics too.

usage: duet_parity.py PARITY_DUMP CASE     exit code 77: PyTorch is not installed here
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    print("SKIPPED: PyTorch is not installed for this Python")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
from twins import safetensors  # noqa: E402
from twins.duet import Duet, DuetOptions, ModalityInput, load_terrane, to_torch_layout, upsampled_cross_entropy  # noqa: E402

THREE = [ModalityInput("optical", 4, 1), ModalityInput("height", 1, 2), ModalityInput("sar", 2, 4)]
CASES = {
    "basic": DuetOptions(THREE, 7),
    "bottleneck": DuetOptions(THREE, 7, encoder="resnet50"),
    "single_modality": DuetOptions([ModalityInput("optical", 3, 1)], 7),
    "group_norm": DuetOptions(THREE, 7, norm="group"),
    "output_stride_8": DuetOptions(THREE, 7, encoder="resnet34", encoder_width=32, output_stride=8, decoder_stride=4),
}

failures = []


def check(what, ours, theirs, tolerance):
    """Relative difference in the norm of the whole tensor; a tensor of zeros proves nothing and fails."""
    ours, theirs = ours.double(), theirs.double()
    scale = theirs.norm().item()
    difference = (ours - theirs).norm().item()
    if scale == 0 or not difference <= tolerance * scale:
        failures.append(f"{what}: |ours - theirs| = {difference:.3e}, |theirs| = {scale:.3e}, allowed {tolerance:g} of it")
    return difference / scale if scale else float("inf")


def part(tensors, prefix):
    return {name[len(prefix):]: value for name, value in tensors.items() if name.startswith(prefix)}


def main(dump, case):
    torch.manual_seed(0)
    options = CASES[case]
    options.aspp_rates = [2, 3, 5]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/step.safetensors"
        subprocess.run([dump, case, path], check=True)
        tensors = safetensors.read(path)

    model = Duet(options).train()
    with torch.no_grad():
        load_terrane(model, part(tensors, "before:"))
    inputs = {name: torch.as_tensor(value) for name, value in part(tensors, "input:").items()}
    labels, presence = inputs.pop("labels"), inputs.pop("presence").flatten(1)
    images = {name: value.permute(0, 3, 1, 2).contiguous() for name, value in inputs.items()}

    logits = model(images, presence)
    loss = upsampled_cross_entropy(logits, labels)
    loss.backward()

    check("logits", torch.as_tensor(tensors["logits"]).permute(0, 3, 1, 2), logits.detach(), 1e-4)
    check("loss", torch.as_tensor(tensors["loss"]), loss.detach().reshape(1), 1e-4)
    worst = 0.0
    gradients = part(tensors, "gradient:")
    for name, parameter in model.named_parameters():
        worst = max(worst, check(f"gradient of {name}", to_torch_layout(gradients[name]), parameter.grad, 1e-3))
    own = model.state_dict()
    for name, value in part(tensors, "after:").items():
        check(f"{name} after the step", torch.as_tensor(value), own[name], 1e-4)

    print(f"{case}: {len(gradients)} gradients compared, worst relative difference {worst:.2e}")
    for failure in failures[:20]:
        print("FAILED", failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

"""duet equals its PyTorch twin: forward within 1e-4, every gradient within 1e-3 relative, batch-norm statistics too.

The twin computes in float64, so that only our own rounding counts. A ReLU whose input lies within rounding of zero may
still open in fp32 and stay shut in fp64, which alone moves early layers' gradients by up to a percent. That is luck of the
draw, a wrong gradient is not: up to four random draws of weights and inputs are tried, and one of them must agree
everywhere; the forward pass and the statistics must agree in every draw.

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

DRAWS = 4


def relative_difference(ours, theirs):
    """In the norm of the whole tensor; a tensor of zeros proves nothing and counts as infinitely wrong."""
    theirs = theirs.double()
    scale = theirs.norm().item()
    return (ours.double() - theirs).norm().item() / scale if scale else float("inf")


def part(tensors, prefix):
    return {name[len(prefix):]: torch.as_tensor(value) for name, value in tensors.items() if name.startswith(prefix)}


def compare(dump, case, seed):
    """Relative differences by name: (forward and statistics, gradients)."""
    options = CASES[case]
    options.aspp_rates = [2, 3, 5]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/step.safetensors"
        subprocess.run([dump, case, str(seed), path], check=True)
        tensors = safetensors.read(path)

    model = Duet(options).train()
    with torch.no_grad():
        load_terrane(model, part(tensors, "before:"))
    model = model.double()
    inputs = part(tensors, "input:")
    labels, presence = inputs.pop("labels"), inputs.pop("presence").flatten(1).double()
    images = {name: value.permute(0, 3, 1, 2).contiguous().double() for name, value in inputs.items()}
    logits = model(images, presence)
    loss = upsampled_cross_entropy(logits, labels)
    loss.backward()

    forward = {"logits": relative_difference(torch.as_tensor(tensors["logits"]).permute(0, 3, 1, 2), logits.detach()),
               "loss": relative_difference(torch.as_tensor(tensors["loss"]), loss.detach().reshape(1))}
    own = model.state_dict()
    for name, value in part(tensors, "after:").items():
        forward[f"{name} after the step"] = relative_difference(value, own[name])
    ours = part(tensors, "gradient:")
    gradients = {name: relative_difference(to_torch_layout(ours[name]), parameter.grad)
                 for name, parameter in model.named_parameters()}
    return forward, gradients


def main(dump, case):
    for seed in range(1, DRAWS + 1):
        forward, gradients = compare(dump, case, seed)
        wrong = {name: value for name, value in forward.items() if not value <= 1e-4}
        if wrong:
            print(f"FAILED {case} draw {seed}: forward differs", dict(list(wrong.items())[:10]))
            return 1
        off = {name: value for name, value in gradients.items() if not value <= 1e-3}
        print(f"{case} draw {seed}: logits {forward['logits']:.1e}, {len(gradients)} gradients, worst {max(gradients.values()):.1e}, "
              f"{len(off)} above 1e-3")
        if not off:
            return 0
    print(f"FAILED {case}: gradients differ in every draw, the last by", dict(list(off.items())[:10]))
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

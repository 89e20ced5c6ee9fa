"""The PyTorch twin of src/nets/setr_light.cpp."""

from .setr import SetrLight


def build(case):
    return SetrLight(case)

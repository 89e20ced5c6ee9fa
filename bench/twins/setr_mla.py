"""The PyTorch twin of src/nets/setr_mla.cpp."""

from .setr import SetrMla


def build(case):
    return SetrMla(case)

"""Reads safetensors files: u64 header length, JSON header, raw little-endian tensors."""

import json

import numpy

TYPES = {"F32": numpy.float32, "F64": numpy.float64, "F16": numpy.float16, "U8": numpy.uint8, "I8": numpy.int8,
         "I16": numpy.int16, "I64": numpy.int64, "I32": numpy.int32}


def read(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        body = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        flat = numpy.frombuffer(body[begin:end], TYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"]).copy()
    return tensors


def read_metadata(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)).get("__metadata__", {})

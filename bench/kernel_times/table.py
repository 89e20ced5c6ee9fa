#!/usr/bin/env python3
"""Shows what libkernel_times.so wrote: kernels by their share of the time on the GPU.

    bench/kernel_times/table.py times.json [--steps N] [--all] [--rows 25]
"""

import argparse
import json
import re


def short(name):
    name = re.sub(r"\bterrane::(cuda|formulas|ops)::|\(anonymous namespace\)::|\b(void|long|const) |std::", "", name)
    name = re.sub(r"^run_(items|teams|block)<(.*)>\(.*$", r"\2", name, flags=re.S)
    return re.sub(r"\s+", " ", name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--steps", type=float, default=1, help="replays in the recording: times are shown per replay")
    parser.add_argument("--all", action="store_true", help="also kernels outside of graphs")
    parser.add_argument("--rows", type=int, default=25)
    parser.add_argument("--width", type=int, default=110)
    options = parser.parse_args()
    with open(options.file) as file:
        kernels = json.load(file)["kernels"]
    rows = [kernel for kernel in kernels if options.all or kernel["replayed"]]
    rows.sort(key=lambda kernel: -kernel["sum_us"])
    total = sum(kernel["sum_us"] for kernel in rows)
    print(f"{total / options.steps / 1000:.3f} ms in {sum(k['count'] for k in rows) / options.steps:.0f} kernels")
    print(f"{'ms':>8} {'share':>6} {'calls':>7} {'mean us':>9} {'grid':>8} {'block':>5} {'regs':>4} {'local':>5}")
    for kernel in rows[:options.rows]:
        grid = kernel["grid"][0] * kernel["grid"][1] * kernel["grid"][2]
        print(f"{kernel['sum_us'] / options.steps / 1000:8.3f} {100 * kernel['sum_us'] / total:5.1f}% {kernel['count'] / options.steps:7.1f} "
              f"{kernel['sum_us'] / kernel['count']:9.1f} {grid:8d} {kernel['block']:5d} {kernel['registers']:4d} {kernel['local_bytes']:5d}  "
              f"{short(kernel['name'])[:options.width]}")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# Configures and builds everything with the preset `release` (with the CUDA backend if nvcc is found).
# TERRANE_PRESET chooses another preset. Prints the path of the build folder on the last line.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${TERRANE_PRESET:-release}
# A compiler of C++ with this many templates takes about 1.5 GB: don't start more of them than fit into memory.
cores=$(nproc)
memory_gb=$(awk '/MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
jobs=$((memory_gb / 2 < cores ? memory_gb / 2 : cores))
[ "$jobs" -ge 1 ] || jobs=1

cmake --preset "$preset"
cmake --build --preset "$preset" -j "$jobs"
echo "build/$preset"

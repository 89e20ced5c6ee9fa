#!/usr/bin/env bash
# Fuzzes the readers of foreign weights (.pth archives and streams, safetensors) with libFuzzer under ASan and UBSan.
# Usage: scripts/fuzz.sh [SECONDS]      default 60; the release is held for an hour: scripts/fuzz.sh 3600
# Needs clang with compiler-rt. The corpus grows in build/fuzz/corpus and is used again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzz_weights fuzz_driver
mkdir -p build/fuzz/corpus
build/fuzz/tests/weights/fuzz_driver --seeds build/fuzz/corpus
# No input needs more than its own size times a small constant: with 16 KiB of input, a single allocation above 2 MiB
# (128 times) or more than 1 GiB in all, ASan's own memory included, is a finding. So is an input that takes 5 seconds.
exec nice -n 19 build/fuzz/tests/weights/fuzz_weights build/fuzz/corpus -max_len=16384 -malloc_limit_mb=2 \
  -rss_limit_mb=1024 -timeout=5 -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix=build/fuzz/

#!/usr/bin/env bash
# Fuzzes the readers of foreign bytes with libFuzzer under ASan and UBSan: weights (.pth archives and streams, safetensors) or
# tiles (manifests, records, shards, label rasters, label configurations).
# Usage: scripts/fuzz.sh [SECONDS [weights|tiles]]   default 60 weights; the release is held for an hour of each
# TIMEOUT: seconds of the clock that one input may take (5; more where other work holds up this one).
# Needs clang with compiler-rt. The corpus grows in build/fuzz/corpus_* and is used again.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60} target=${2:-weights}

# No input of weights needs more than its own size times a small constant: with 16 KiB of input, a single allocation above
# 2 MiB (128 times) or more than 1 GiB in all, ASan's own memory included, is a finding. So is an input that takes 5 seconds.
# GDAL and HDF5 have buffers and caches of their own, and leave some to the end of the process. (libFuzzer's own -detect_leaks=0
# would also take its eyes off allocations.)
case $target in
  weights) limits=(-malloc_limit_mb=2) ;;
  tiles) limits=(-malloc_limit_mb=512); export ASAN_OPTIONS=detect_leaks=0 ;;
  *) echo "fuzz: there is no target $target" >&2; exit 2 ;;
esac
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target "fuzz_$target" "fuzz_driver_$target" -- -j "${JOBS:-2}"
corpus=build/fuzz/corpus_$target
mkdir -p "$corpus"
build/fuzz/tests/"$target"/fuzz_driver_"$target" --seeds "$corpus"
exec nice -n 19 build/fuzz/tests/"$target"/fuzz_"$target" "$corpus" -max_len=16384 "${limits[@]}" \
  -rss_limit_mb=1024 -timeout="${TIMEOUT:-5}" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix=build/fuzz/

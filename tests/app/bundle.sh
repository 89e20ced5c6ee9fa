#!/usr/bin/env bash
# A bundle keeps to its size, and runs from another folder, with an empty environment, on libraries of its own: it trains on two
# ranks on the tiles that it brings.
# Usage: bundle.sh BUILD_FOLDER; exits with 77 where patchelf is missing.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
[ -z "${TERRANE_SANITIZE:-}" ] || { echo "skipped: a program with sanitizers is larger than a bundle may be"; exit 77; }
command -v patchelf >/dev/null || { echo "skipped: patchelf is missing"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Over the limit nothing is made, and the message says how much and what.
if "$top/scripts/bundle.sh" "$1" "$scratch/small" --limit 5 --no-archive > "$scratch/limit.txt" 2>&1; then
  echo "a bundle of 5 MiB was made"; exit 1
fi
grep -q 'bundle: .* takes [0-9]* MiB, and 5 are allowed (--limit). The largest files:' "$scratch/limit.txt" || { cat "$scratch/limit.txt"; exit 1; }
grep -q 'MiB  libexec/terrane' "$scratch/limit.txt" || { cat "$scratch/limit.txt"; exit 1; }

# What CUDA builds take from the machine.
machine=$(ldd "$1/terrane" | awk '$1 ~ /^lib(cudnn|cublas|nvrtc|nccl|cudart|nvJitLink)/ && $3 ~ /^\// {sub("/[^/]*$", "", $3); print $3}' |
  sort -u | paste -sd :)
in_bundle() {
  env -i PATH=/usr/bin:/bin HOME="$scratch" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive CUDA_VISIBLE_DEVICES= \
    LD_LIBRARY_PATH="$machine" LD_DEBUG=files LD_DEBUG_OUTPUT="$scratch/loaded" "$@"
}
trains() {
  local bundle=$1 device=$2
  in_bundle "$bundle/bin/mpirun" --oversubscribe --bind-to none -n 2 "$bundle/bin/terrane" train \
    -c "$bundle/share/scene.toml" -s data.tiles="$bundle/share/tiles" -s train.steps=2 -s optim.warmup_steps=0 -s train.global_batch=2 \
    -s model.encoder_width=8 -s augment.crop=64 -s report.images=0 -s report.tensorboard=false -s eval.every=0 --device "$device" \
    --progress none --overwrite -o "$scratch/run" > "$scratch/train.txt" 2>&1 || { cat "$scratch/train.txt"; exit 1; }
  test -e "$(find "$scratch/run" -name COMPLETE | head -1)" || { echo "no checkpoint was written"; exit 1; }
}

# As it is made for GPUs: within 60 MiB, which the script checks itself.
"$top/scripts/bundle.sh" "$1" "$scratch/made" --no-archive
mv "$scratch/made" "$scratch/elsewhere"
bundle=$scratch/elsewhere
[ "$(du -sm --apparent-size "$bundle" | cut -f1)" -le 60 ] || { echo "the bundle is larger than 60 MiB"; exit 1; }
in_bundle "$bundle/bin/terrane" --version
# What is not there is a line of the doctor's report, not the end of it.
in_bundle "$bundle/bin/terrane" doctor -o "$scratch" > "$scratch/doctor.txt" 2>&1 || { cat "$scratch/doctor.txt"; exit 1; }
grep -q '^gdal     none (bundle), without GTiff, .*scripts/bundle.sh --gdal' "$scratch/doctor.txt" || { cat "$scratch/doctor.txt"; exit 1; }
grep -q '^disk     .*MB/s' "$scratch/doctor.txt" || { cat "$scratch/doctor.txt"; exit 1; }
trains "$bundle" ref
# Ranks that another launcher starts, as srun does, take MPI's components from the bundle, too.
env -i PATH=/usr/bin:/bin HOME="$scratch" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive CUDA_VISIBLE_DEVICES= LD_LIBRARY_PATH="$machine" \
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe --bind-to none -n 2 \
  env LD_DEBUG=files LD_DEBUG_OUTPUT="$scratch/started" "$bundle/bin/terrane" doctor -o "$scratch" > "$scratch/doctor.txt" 2>&1 ||
  { cat "$scratch/doctor.txt"; exit 1; }
grep -q '2 ranks on 1 hosts' "$scratch/doctor.txt" || { cat "$scratch/doctor.txt"; exit 1; }
grep -qh "calling init: $bundle/lib/openmpi/mca_" "$scratch"/started.* || { echo "no component of the bundle was loaded"; exit 1; }
if cat "$scratch"/started.* | grep 'calling init: .*/openmpi/mca_' | grep -v "calling init: $bundle/"; then
  echo "components from outside of the bundle"; exit 1
fi
if in_bundle "$bundle/bin/terrane" bench ops --device cpu > "$scratch/cpu.txt" 2>&1; then echo "oneDNN came along"; exit 1; fi
grep -q 'error\[E0712\].*without oneDNN.*scripts/bundle.sh --cpu' "$scratch/cpu.txt" || { cat "$scratch/cpu.txt"; exit 1; }
if in_bundle "$bundle/bin/terrane" data build -c "$bundle/share/scene.toml" -o "$scratch/tiles" > "$scratch/gdal.txt" 2>&1; then
  echo "GDAL came along"; exit 1
fi

# With oneDNN.
"$top/scripts/bundle.sh" "$1" "$scratch/with_cpu" --cpu --no-archive
mv "$scratch/with_cpu" "$scratch/with_cpu_elsewhere"
trains "$scratch/with_cpu_elsewhere" cpu

# Every library that was started, by whichever process.
outside=$(cat "$scratch"/loaded.* | grep -o 'calling init: /.*' | sed 's/calling init: //' | sort -u |
  grep -vE "^($bundle|$scratch/with_cpu_elsewhere)/" |
  grep -vE '/(ld-linux-x86-64|libc|libm|libdl|libpthread|librt|libutil|libresolv|libnss_[a-z]*)\.so[.0-9]*$' |
  { if [ -n "$machine" ]; then grep -vE "^(${machine//:/|})/"; else cat; fi; } |
  grep -vE '/lib(cuda|cudnn[a-z_]*|nvidia-[a-z]*|nccl[a-z-]*)\.so' || true)
# mpirun itself is a script: what the machine's shell loads does not count.
outside=$(echo "$outside" | grep -vE '/lib(selinux|pcre2-8|tinfo|acl|attr)\.so' || true)
if [ -n "$outside" ]; then
  echo "libraries from outside of the bundle:"
  echo "$outside"
  exit 1
fi
echo "the bundle runs on its own libraries"

#!/usr/bin/env bash
# A bundle runs from another folder, with an empty environment, on libraries of its own: trains on two ranks.
# Usage: bundle.sh BUILD_FOLDER; exits with 77 where patchelf is missing.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
command -v patchelf >/dev/null || { echo "skipped: patchelf is missing"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$top/scripts/bundle.sh" "$1" "$scratch/made" --no-archive
mv "$scratch/made" "$scratch/elsewhere"
bundle=$scratch/elsewhere

# What CUDA builds take from the machine.
machine=$(ldd "$1/terrane" | awk '$1 ~ /^lib(cudnn|cublas|nvrtc|nccl|cudart|nvJitLink)/ && $3 ~ /^\// {sub("/[^/]*$", "", $3); print $3}' |
  sort -u | paste -sd :)
in_bundle() {
  env -i PATH=/usr/bin:/bin HOME="$scratch" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive \
    LD_LIBRARY_PATH="$machine" LD_DEBUG=files LD_DEBUG_OUTPUT="$scratch/loaded" "$@"
}
in_bundle "$bundle/bin/terrane" --version
in_bundle "$bundle/bin/mpirun" --oversubscribe --bind-to none -n 2 "$bundle/bin/terrane" train \
  -c "$bundle/share/scene.toml" -s data.tiles="$bundle/share/tiles" -s train.steps=2 -s optim.warmup_steps=0 -s train.global_batch=2 \
  -s model.encoder_width=8 -s augment.crop=64 -s report.images=0 -s report.tensorboard=false --device cpu \
  --progress none -o "$scratch/run" > "$scratch/train.txt" 2>&1 || { cat "$scratch/train.txt"; exit 1; }
test -e "$(find "$scratch/run" -name COMPLETE | head -1)" || { echo "no checkpoint was written"; exit 1; }

# Every library that was started, by whichever process.
outside=$(cat "$scratch"/loaded.* | grep -o 'calling init: /.*' | sed 's/calling init: //' | sort -u | grep -v "^$bundle/" |
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
grep -c . "$scratch"/loaded.* | head -3
echo "the bundle runs on its own libraries"

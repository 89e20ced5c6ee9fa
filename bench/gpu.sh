#!/usr/bin/env bash
# Everything that is to be known about terrane on a GPU, in one call of under nine minutes: the tests that need one,
# recorded against step by step, f32 against the reference, single ops in percent of the device, training steps against
# PyTorch, memory, a short training, compute-sanitizer. From a build folder, or from a bundle (scripts/bundle.sh) where
# there is no compiler. Writes gpu.json and gpu.txt.
#
#   bench/gpu.sh --build build/release --out bench/results
#   bundle/bench/gpu.sh --out .
#   bench/gpu.sh --build build/cpu-release --device cpu --tiny --out /tmp/dry     # the script itself, without a GPU
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# cuDNN and NCCL may have come with Python packages (PyTorch's), CUDA with its own installer.
for folder in /usr/local/cuda/lib64 /usr/local/cuda/lib $(
  python3 -c 'import importlib.util as u, glob, os
spec = u.find_spec("nvidia")
for place in (spec.submodule_search_locations or [] if spec else []): print(*glob.glob(os.path.join(place, "*", "lib")))' 2>/dev/null); do
  [ -d "$folder" ] && LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
done
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:-}" OMP_WAIT_POLICY=passive
exec python3 "$here/gpu.py" "$@"

#!/usr/bin/env bash
# From nothing to a georeferenced map.
# Usage: scripts/demo.sh              on a synthetic scene made on the spot
#        scripts/demo.sh CONFIG.toml  on the rasters that the configuration names
# Environment: TERRANE_RANKS (2; with GPUs not more than there are), TERRANE_DEMO (demo/<name>: the output folder),
#              TERRANE_SIZE (edge of the synthetic scene in pixels, 2048)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
config=${1:-}
if [ -n "$config" ]; then
  if [ ! -f "$config" ]; then
    echo "demo: $config does not exist" >&2
    exit 66
  fi
  config=$(realpath "$config")
fi
cd "$root"

scripts/setup.sh
scripts/build.sh
terrane="$root/build/${TERRANE_PRESET:-release}/terrane"
gpus=$(nvidia-smi --list-gpus 2>/dev/null | grep -c '^GPU' || true)
ranks=${TERRANE_RANKS:-$([ "$gpus" = 1 ] && echo 1 || echo 2)}
if [ "$(id -u)" -eq 0 ]; then
  # Open MPI refuses to start as root unless told twice; in a container root is all there is.
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
launch=(mpirun -n "$ranks")
if [ "$ranks" -gt "$(nproc)" ]; then launch=(mpirun --oversubscribe --bind-to none -n "$ranks"); fi

if [ -n "$config" ]; then
  name=$(basename "$config" .toml)
else
  name=synth
fi
out=${TERRANE_DEMO:-demo/$name}
mkdir -p "$out"
out=$(realpath "$out")

step() {
  echo
  echo "\$ $*"
  "$@"
}

map="$out/map_{scene}.tif"  # a configuration may name several scenes
if [ -z "$config" ]; then
  map="$out/map.tif"
  step "$terrane" data synth -o "$out/scene" --size "${TERRANE_SIZE:-2048}" --seed 7 --overwrite
  config="$out/scene/scene.toml"
fi
step "$terrane" data build -c "$config" -o "$out/tiles"
step "${launch[@]}" "$terrane" train -c "$config" -s "data.tiles=$out/tiles" -o "$out/run"
step "$terrane" evaluate -c "$config" -s "data.tiles=$out/tiles" --weights "$out/run/ckpt/best" --split test -o "$out/test"
step "$terrane" predict -c "$config" --weights "$out/run/ckpt/best" -o "$map" --overwrite

echo
echo "demo: done"
echo "  scores    $out/test/metrics.json, confusion matrix $out/test/confusion.png"
for file in "$out"/map*.tif; do echo "  map       $file"; done
for file in "$out"/map*.png; do echo "  picture   $file"; done

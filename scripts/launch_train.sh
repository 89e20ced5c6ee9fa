#!/usr/bin/env bash
# Training on one workstation, one rank per GPU (or per share of the cores):
#     scripts/launch_train.sh RANKS CONFIG [options of terrane train]     or CONFIG RANKS, as dist_train.sh elsewhere
# RANKS 1 starts the program as it is. Where a platform already started this script once per rank (WORLD_SIZE is set),
# RANKS is ignored and the program takes its place among them. The exit code is the program's.
#   TERRANE      the program (default: build/release/terrane of this checkout, or build/cpu-release/terrane, or the one in PATH)
#   MPIRUN_ARGS  further options of mpirun
set -euo pipefail

if [ $# -lt 2 ]; then
  sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p}' "$0" >&2
  exit 2
fi
ranks=$1 config=$2
case $ranks in *[!0-9]*) ranks=$2 config=$1 ;; esac
case $ranks in
  '' | *[!0-9]*)
    echo "launch_train: neither \"$1\" nor \"$2\" is a number of ranks" >&2
    exit 2
    ;;
esac
shift 2
terrane=${TERRANE:-}
builds=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/build
for candidate in "$builds/release/terrane" "$builds/cpu-release/terrane" "$(command -v terrane || true)"; do
  if [ -z "$terrane" ] && [ -x "$candidate" ]; then terrane=$candidate; fi
done
if [ -z "$terrane" ]; then
  echo "launch_train: there is no terrane in $builds or in PATH; build it, or say where it is with TERRANE" >&2
  exit 66
fi

if [ -n "${WORLD_SIZE:-}" ] || [ "$ranks" = 1 ]; then
  exec "$terrane" train -c "$config" "$@"
fi
# mpirun kills ranks about a second after it told them to stop; a checkpoint takes longer. Where root must start it (in a
# container), Open MPI wants that said.
export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-60}
if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
# shellcheck disable=SC2086  # MPIRUN_ARGS is a list of words
exec mpirun -n "$ranks" ${MPIRUN_ARGS:-} "$terrane" train -c "$config" "$@"

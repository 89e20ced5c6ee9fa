#!/usr/bin/env bash
# Submits a training:
#     slurm/submit.sh PARTITION JOB CONFIG [options of terrane train]
#     GPUS=16 slurm/submit.sh gpu psp_potsdam potsdam.toml -s train.global_batch=64
#
# Environment:
#   GPUS           ranks in all, one GPU each (default 8); 0: ranks on CPUs, as many as TASKS says
#   GPUS_PER_NODE  GPUs of a node (default 8, or GPUS if that is less)
#   TASKS          with GPUS=0: ranks in all (default 1); TASKS_PER_NODE of them on a node (default TASKS)
#   CPUS_PER_TASK  cores of a rank (default 5)
#   TIME           limit, D-HH:MM:SS (default 24:00:00); LEAD: seconds before it that terrane is told to stop (default 300)
#   SBATCH_ARGS    further options of sbatch
#   SRUN_ARGS, TERRANE, MODULES, SETUP, CONTAINER, MAX_RESTARTS   see slurm/job.sh
# Prints the job's number as sbatch does. The run folder is runs/JOB: the same command again continues that run.
set -euo pipefail

if [ $# -lt 3 ]; then
  sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p}' "$0" >&2
  exit 2
fi
partition=$1 job=$2 config=$3
shift 3
[ -f "$config" ] || { echo "submit: there is no configuration $config" >&2; exit 66; }

TERRANE_SLURM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export TERRANE_SLURM
gpus=${GPUS:-8}
if [ "$gpus" -gt 0 ]; then
  tasks=$gpus
  per_node=${GPUS_PER_NODE:-8}
  resources=(--gres="gpu:$((per_node < gpus ? per_node : gpus))" --gres-flags=enforce-binding)
else
  tasks=${TASKS:-1}
  per_node=${TASKS_PER_NODE:-$tasks}
  resources=(--gres=none)
fi
if [ "$per_node" -gt "$tasks" ]; then per_node=$tasks; fi
if [ $((tasks % per_node)) -ne 0 ]; then
  echo "submit: $tasks ranks can't be spread evenly with $per_node per node" >&2
  exit 2
fi

# shellcheck disable=SC2086  # SBATCH_ARGS is a list of words
exec sbatch --partition="$partition" --job-name="$job" --nodes=$((tasks / per_node)) --ntasks="$tasks" \
  --ntasks-per-node="$per_node" "${resources[@]}" --cpus-per-task="${CPUS_PER_TASK:-5}" \
  --time="${TIME:-24:00:00}" --signal="USR1@${LEAD:-300}" ${SBATCH_ARGS:-} \
  "$TERRANE_SLURM/multi_node.sbatch" "$config" "$@"

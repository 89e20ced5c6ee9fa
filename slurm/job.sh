# shellcheck shell=bash
# What every batch script here does, sourced by them: set up the node's software, start one rank per task, and queue the
# job again when terrane stopped early. Not run on its own.
#
# Read from the environment (sbatch hands it on; slurm/submit.sh sets what it is given):
#   TERRANE      the program (default: build/release/terrane of this checkout, or build/cpu-release/terrane, or the one in PATH)
#   MODULES      environment modules to load, separated by spaces
#   SETUP        a file that is sourced first: paths, licences, whatever the site needs
#   CONTAINER    what the program is started through on every node, e.g. "apptainer exec --nv --bind /data terrane.sif"
#   SRUN_ARGS    further options of srun
#   MAX_RESTARTS how often a job may queue itself again (default 100)

# Slurm runs a copy of the batch script, so this folder is found by the variable that submit.sh sets, or from where sbatch
# was called.
slurm_folder=${TERRANE_SLURM:-$SLURM_SUBMIT_DIR/slurm}
terrane=${TERRANE:-}
for candidate in "$slurm_folder"/../build/{release,cpu-release}/terrane; do
  if [ -z "$terrane" ] && [ -x "$candidate" ]; then terrane=$candidate; fi
done
terrane=${terrane:-terrane}

say() { echo "$(date '+%F %T') job ${SLURM_JOB_ID} restart ${SLURM_RESTART_COUNT:-0}: $*"; }

set_up() {
  if [ -n "${SETUP:-}" ]; then
    # shellcheck source=/dev/null
    . "$SETUP"
  fi
  if [ -n "${MODULES:-}" ]; then
    # shellcheck disable=SC2086  # a list of words
    module load $MODULES
  fi
  # Since Slurm 22.05 srun does not take this over from sbatch by itself.
  if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then
    export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$SLURM_CPUS_PER_TASK}
  fi
}

# run_ranks ARGUMENTS OF TERRANE...: one rank per task; ends the batch script with the program's exit code.
run_ranks() {
  set_up
  # Within a container it may lie where only the container sees it.
  if [ -z "${CONTAINER:-}" ] && ! command -v "$terrane" > /dev/null; then
    say "there is no program $terrane on $(hostname -s): build it, load its module (MODULES), or say where it is with TERRANE" >&2
    exit 66
  fi
  say "on $SLURM_JOB_NODELIST, $SLURM_NTASKS ranks: terrane $*"
  local code=0
  # PMIx connects the ranks; a rank that dies takes the others along; a core belongs to one rank.
  # shellcheck disable=SC2086  # SRUN_ARGS and CONTAINER are lists of words
  srun --mpi=pmix --kill-on-bad-exit=1 --cpu-bind=cores ${SRUN_ARGS:-} ${CONTAINER:-} "$terrane" "$@" || code=$?
  if [ "$code" -eq 75 ]; then queue_again; fi
  say "ended with exit code $code"
  exit "$code"
}

# train CONFIG [options]: the run folder is named after the job. Queued again, or submitted again under that name, the
# training goes on from its checkpoint.
train() {
  local config=${1:?a configuration file}
  shift
  run_ranks train -c "$config" -o "runs/$SLURM_JOB_NAME" "$@"
}

# terrane stopped with a complete checkpoint (time limit, preemption, a signal): the same job goes on where it was.
queue_again() {
  if [ "${SLURM_RESTART_COUNT:-0}" -ge "${MAX_RESTARTS:-100}" ]; then
    say "stopped early after $SLURM_RESTART_COUNT restarts (MAX_RESTARTS): not queued again" >&2
    exit 75
  fi
  # One element of an array is queued again by its own number.
  local id=$SLURM_JOB_ID
  if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then id=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}; fi
  say "stopped early with a checkpoint: queued again"
  scontrol requeue "$id"
  sleep 60  # Slurm ends this script while it waits
  exit 75
}

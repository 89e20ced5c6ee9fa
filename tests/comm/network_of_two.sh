# shellcheck shell=bash
# Two hosts made of network namespaces, joined by a pair of virtual Ethernet devices, and the ways to start ranks on both.
# Sourced by the tests that need them; ends the test as skipped (77) where namespaces can't be made. Sets $folder, $tag, $a and
# $b (the hosts); reads $failing_rank and $mpirun.
set -uo pipefail
tag="tn$$"
a="${tag}a" b="${tag}b"
folder=$(mktemp -d)
skip() { echo "SKIPPED: $1"; exit 77; }
fail() { echo "FAILED: $1"; [ -f "$folder/output" ] && cat "$folder/output"; exit 1; }

[ "$(id -u)" = 0 ] || skip "making network namespaces needs root"
command -v ip >/dev/null || skip "iproute2 is not installed"
unshare --uts true 2>/dev/null || skip "host names can't be made on this machine"
ip netns add "$a" 2>/dev/null || skip "network namespaces can't be made on this machine"
clean_up() {
  for name in "$a" "$b"; do
    ip netns pids "$name" 2>/dev/null | xargs -r kill -KILL 2>/dev/null
    ip netns del "$name" 2>/dev/null
  done
  rm -rf "$folder"
}
trap clean_up EXIT
ip netns add "$b" && ip link add "${tag}x" netns "$a" type veth peer name "${tag}y" netns "$b" 2>/dev/null ||
  skip "virtual Ethernet devices can't be made on this machine"
link_up() {
  ip -n "$a" link set lo up; ip -n "$b" link set lo up
  ip -n "$a" addr replace 10.77.0.1/24 dev "${tag}x"; ip -n "$b" addr replace 10.77.0.2/24 dev "${tag}y"
  ip -n "$a" link set "${tag}x" up; ip -n "$b" link set "${tag}y" up
}
link_up

# Runs words as host a or b; each has its own name, network and nothing else of its own.
on() { local host=$1; shift; ip netns exec "$host" unshare --uts sh -c 'hostname "$0"; exec "$@"' "$host" "$@"; }

# mpirun's remote shell: the host is an address, the rest a command line.
cat >"$folder/remote_shell" <<EOF
#!/bin/sh
shift
exec ip netns exec $b unshare --uts sh -c 'hostname $b; '"\$*"
EOF
chmod +x "$folder/remote_shell"
export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
by_mpirun() { # RANKS_PER_HOST COMMAND...
  local ranks=$1; shift
  on "$a" "$mpirun" --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 \
    --mca plm_rsh_agent "$folder/remote_shell" --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 \
    --mca oob_tcp_if_include 10.77.0.0/24 --host "10.77.0.1:$ranks,10.77.0.2:$ranks" -n $((2 * ranks)) \
    -x OMP_NUM_THREADS "$@"
}
by_environment() { # RANKS_PER_HOST COMMAND...; the exit codes go to $folder/codes
  local ranks=$1; shift
  local size=$((2 * ranks)) rank processes=()
  for ((rank = 0; rank < size; ++rank)); do
    local host=$a
    [ "$rank" -ge "$ranks" ] && host=$b
    RANK=$rank WORLD_SIZE=$size LOCAL_RANK=$((rank % ranks)) MASTER_ADDR=10.77.0.1 MASTER_PORT=29500 on "$host" "$@" &
    processes+=($!)
  done
  : >"$folder/codes"
  local process
  for process in "${processes[@]}"; do wait "$process"; echo $? >>"$folder/codes"; done
  ! grep -qvx 0 "$folder/codes"
}
left_over() { pgrep -fc "^[^ ]*failing_rank loop [0-9]+ [0-9]+ $tag" || true; }


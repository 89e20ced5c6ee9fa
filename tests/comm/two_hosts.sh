#!/usr/bin/env bash
# Two hosts made of network namespaces, joined by a pair of virtual Ethernet devices: ranks of both train over TCP, by
# mpirun and by the environment alone; then the link goes down in the middle of the steps, and both sides have to end
# by themselves. Skipped (77) where namespaces can't be made.
# Usage: two_hosts.sh TERRANE FAILING_RANK MPIRUN   (with an empty TERRANE the training is left out)
set -uo pipefail
terrane=$1 failing_rank=$2 mpirun=$3
# shellcheck source=tests/comm/network_of_two.sh
. "$(dirname "$0")/network_of_two.sh"

# 1. Training on both hosts.
train_on_both() {
cd "$folder" || exit 1
settings=(-c scene/scene.toml -s data.tiles=tiles -s "split.fractions=[0.9,0.05,0.05]" -s split.block=1)
"$terrane" data synth -o scene --size 768 --seed 3 >"$folder/output" 2>&1 || fail "data synth"
"$terrane" data build "${settings[@]}" >"$folder/output" 2>&1 || fail "data build"
train=("$terrane" train "${settings[@]}" -s augment.crop=64 -s train.steps=2 -s optim.warmup_steps=0 -s eval.every=0 --device cpu
  --collective-timeout 120)
for way in by_mpirun by_environment; do
  "$way" 1 "${train[@]}" -o "run_$way" >"$folder/output" 2>&1 || fail "training $way"
  grep -q "2 nodes x 1 ranks" "$folder/output" || fail "the banner of $way doesn't show two nodes"
  [ -e "run_$way/ckpt/last/COMPLETE" ] || fail "no checkpoint $way"
done
grep -q "master 10.77.0.1:29500" "$folder/output" || fail "the banner doesn't name the master"
echo "trained on two hosts by mpirun and by the environment"
}
[ -n "$terrane" ] && train_on_both

# 2. The link goes down: no heartbeats, on either side.
limit=3
for way in by_mpirun by_environment; do
  rm -f "$folder/started"
  export TERRANE_TEST_STARTED=$folder/started TERRANE_TEST_STEPS=100000
  words=(2 "$failing_rank" loop 60 $limit "$tag")
  [ "$way" = by_mpirun ] && words=(2 -x TERRANE_TEST_STARTED -x TERRANE_TEST_STEPS "$failing_rank" loop 60 $limit "$tag")
  "$way" "${words[@]}" >"$folder/output" 2>&1 &
  job=$!
  for ((i = 0; i < 600; ++i)); do [ -e "$folder/started" ] && break; sleep 0.1; done
  [ -e "$folder/started" ] || fail "the steps of $way don't begin"
  ip -n "$a" link set "${tag}x" down
  began=$(date +%s%3N)
  while [ "$(left_over)" != 0 ]; do
    sleep 0.1
    passed=$(($(date +%s%3N) - began))
    # Promised is the limit and 5 s; a machine that is busy with other tests gets as much again.
    [ "$passed" -gt $((1000 * limit + 10000)) ] && fail "$(left_over) ranks of $way are left"
  done
  echo "$way: both sides ended $(($(date +%s%3N) - began)) ms after the link went down (limit $limit s)"
  kill -KILL "$job" 2>/dev/null
  ip netns pids "$b" | xargs -r kill -KILL 2>/dev/null
  ip netns pids "$a" | xargs -r kill -KILL 2>/dev/null
  wait "$job" 2>/dev/null
  grep -q "error\[E0804\]" "$folder/output" || fail "no side of $way says who is silent"
  link_up
done
echo "both sides of a broken link end by themselves"

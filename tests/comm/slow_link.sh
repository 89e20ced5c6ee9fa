#!/usr/bin/env bash
# A link between two hosts that is slow but alive (tc tbf), so slow that one sum of a step takes longer than the heartbeat
# limit: nobody is lost, nobody is stuck, the job ends well. Skipped (77) where namespaces can't be made.
# Usage: slow_link.sh FAILING_RANK MPIRUN [SECONDS [WAYS]]   SECONDS: how long the steps go on at least (8);
#        WAYS: how the ranks are started ("by_mpirun by_environment")
set -uo pipefail
failing_rank=$1 mpirun=$2 seconds=${3:-8} ways=${4:-by_mpirun by_environment}
# shellcheck source=tests/comm/network_of_two.sh
. "$(dirname "$0")/network_of_two.sh"

# 2 Mbit/s: a bucket of 1 MB, which both hosts send each other, takes four seconds, the limit is two.
limit=2
shape() { tc -n "$a" qdisc replace dev "${tag}x" root tbf rate 2mbit burst 16kb latency 300ms &&
          tc -n "$b" qdisc replace dev "${tag}y" root tbf rate 2mbit burst 16kb latency 300ms; }
for way in $ways; do
  rm -f "$folder/started"
  export TERRANE_TEST_STARTED=$folder/started TERRANE_TEST_STEPS=4 TERRANE_TEST_BUCKET=250000 TERRANE_TEST_SECONDS=$seconds
  words=(1 "$failing_rank" loop 600 $limit "$tag")
  [ "$way" = by_mpirun ] && words=(1 -x TERRANE_TEST_STARTED -x TERRANE_TEST_STEPS -x TERRANE_TEST_BUCKET -x TERRANE_TEST_SECONDS
    "$failing_rank" loop 600 $limit "$tag")
  "$way" "${words[@]}" >"$folder/output" 2>&1 &
  job=$!
  for ((i = 0; i < 600; ++i)); do [ -e "$folder/started" ] && break; sleep 0.1; done
  [ -e "$folder/started" ] || fail "the steps of $way don't begin"
  began=$(date +%s)
  shape || skip "tc tbf can't be used on this machine"
  wait "$job"
  code=$?
  passed=$(($(date +%s) - began))
  tc -n "$a" qdisc del dev "${tag}x" root; tc -n "$b" qdisc del dev "${tag}y" root
  [ "$code" = 0 ] || fail "$way ended with code $code after $passed s on a slow link"
  grep -q "done with 2 ranks" "$folder/output" || fail "$way did not end well"
  grep -q "E080" "$folder/output" && fail "a false alarm of $way"
  slowest=$(sed -n 's/^longest step: \([0-9.]*\) s$/\1/p' "$folder/output" | tail -1)
  awk -v s="${slowest:-0}" -v l="$limit" 'BEGIN { exit !(s > l) }' || fail "the longest step of $way, ${slowest:-none} s, is no test of a limit of $limit s"
  echo "$way: $passed s on a link of 2 Mbit/s, longest step $slowest s, heartbeat limit $limit s, no alarm"
done

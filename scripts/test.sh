#!/usr/bin/env bash
# From a fresh machine to test results: installs what is missing, builds, runs all tests.
# Arguments go to ctest: scripts/test.sh -R config. Soak tests run only if asked for: scripts/test.sh -L soak
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

scripts/setup.sh
scripts/build.sh
build=build/${TERRANE_PRESET:-release}
jobs=$(nproc)
# A test of several ranks counts as two processors; more at once would only disturb each other's time limits.
[[ " $* " == *soak* ]] || set -- "$@" -LE soak
ctest --test-dir "$build" --output-on-failure -j "$jobs" "$@"

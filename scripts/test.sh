#!/usr/bin/env bash
# From a fresh machine to test results: installs what is missing, builds, runs all tests.
# Usage: scripts/test.sh [--preset NAME] [arguments of ctest...]
# NAME is a preset of CMakePresets.json (release, or what TERRANE_PRESET says): asan, ubsan and tsan build with sanitizers and
# run every test under them (CONTRIBUTING.md). Soak tests run only if asked for: scripts/test.sh -L soak
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

if [ "${1:-}" = --preset ]; then
  [ $# -ge 2 ] || { echo "test: --preset needs a name" >&2; exit 2; }
  export TERRANE_PRESET=$2
  shift 2
fi
scripts/setup.sh
scripts/build.sh
build=build/${TERRANE_PRESET:-release}
jobs=$(nproc)
# A test of several ranks counts as two processors; more at once would only disturb each other's time limits.
[[ " $* " == *soak* ]] || set -- "$@" -LE soak
ctest --test-dir "$build" --output-on-failure -j "$jobs" "$@"

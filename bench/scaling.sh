#!/usr/bin/env bash
# Weak and strong scaling over ranks, with a table, a picture and a prediction: see bench/scaling.py --help. Uses Debian's
# python3-matplotlib (scripts/setup.sh).
set -euo pipefail
exec /usr/bin/python3 "$(dirname "$0")/scaling.py" "$@"

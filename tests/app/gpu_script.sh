#!/usr/bin/env bash
# bench/gpu.sh on the CPU with tiny sizes: every part does its work and is written down.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PATH=/usr/bin:$PATH "$top/bench/gpu.sh" --build "$1" --device cpu --tiny --out "$scratch" --seconds 400 --network duet
/usr/bin/python3 - "$scratch" <<'EOF'
import json, sys
report = json.load(open(sys.argv[1] + "/gpu.json"))
parts = report["parts"]
assert set(parts) == {"machine", "tests", "parity", "training", "ops", "steps", "kernels", "sanitizer"}, sorted(parts)
assert not any("failed" in part for part in parts.values()), parts
fp32 = parts["parity"]["rows"][0]
assert fp32["equal_bits"] and fp32["relative_to_reference"] < 1e-3, fp32
assert parts["training"]["code"] == 0 and len(parts["training"]["steps"]) == 5, parts["training"]
ops = parts["ops"]["assorted fp32"]
assert ops["peak_flops_per_second"] > 0 and len(ops["ops"]) > 5, ops
duet = parts["steps"]["duet"]["terrane"]["fp32"]
assert duet["seconds_median"] > 0 and duet["measured_bytes"] > 0 and duet["per_step"]["allocations"] == 0, duet
assert parts["sanitizer"]["selected"] >= 5, parts["sanitizer"]
assert open(sys.argv[1] + "/gpu.txt").read().count("== ") == 8
EOF

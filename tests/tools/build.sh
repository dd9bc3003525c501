#!/bin/bash
# build.sh PRESET JOBS [TARGET...]: configures if need be, builds, and is quiet when all is well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
preset=$1 jobs=$2
shift 2
log=build/$preset.log
mkdir -p build
began=$SECONDS
if [ ! -f "build/$preset/build.ninja" ]; then
    cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
fi
targets=()
[ $# -eq 0 ] || targets=(--target "$@")
echo "== build ($preset, $jobs jobs; log in $log)"
# Ninja's own status line on a terminal, one line for each hundred steps elsewhere.
if [ -t 1 ]; then
    cmake --build --preset "$preset" --parallel "$jobs" "${targets[@]}"
else
    cmake --build --preset "$preset" --parallel "$jobs" "${targets[@]}" 2>&1 | tee "$log" |
        awk '/^\[[0-9]+\/[0-9]+\]/ { split($1, n, /[^0-9]+/); if (n[2] % 100 == 0 || n[2] == n[3]) print; next }
             /GLOB mismatch|^-- |^$/ { next } { print }'
fi
echo "   built in $((SECONDS - began)) s"

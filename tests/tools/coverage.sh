#!/bin/bash
# coverage.sh JOBS SEEDS: what of the protocol's code unit tests and simulation together run through.
#
# Branches that only an exception takes are left out: the compiler makes one for nearly each call.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
jobs=$1 seeds=$2
build=build/coverage
tests/tools/build.sh coverage "$jobs" unit_decide unit_agent simulate
find $build -name '*.gcda' -delete
for layer in decide agent; do
    $build/tests/unit/unit_$layer --gtest_brief=1
done
# Which seeds break a promise is the simulation's own test.
for profile in "" restore clocks; do
    $build/tests/simulation/simulate --seeds "$seeds" --jobs "$jobs" ${profile:+--profile $profile} |
        sed -n '1p' || true
    seeds=$((seeds / 4 + 1))
done
protocol=(src/decide src/agent/{agent_mandate,agent_orders,brain,gate,mandate,rejoin}.cc)
filters=()
for part in "${protocol[@]}"; do filters+=(--filter "$part"); done
report() {
    gcovr --root . $build/src/decide $build/src/agent "${filters[@]}" \
        --exclude-throw-branches --exclude-unreachable-branches "$@"
}
report --txt $build/lines.txt
report --txt $build/branches.txt --branches
cat $build/lines.txt
sed -n '/^File/,$p' $build/branches.txt

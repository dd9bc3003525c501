#!/bin/bash
# sanitize.sh JOBS: unit and integration tests, twice: ASan with UBSan, then TSan.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
jobs=$1
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:halt_on_error=1
export LSAN_OPTIONS=suppressions=$PWD/tests/tools/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=suppressions=$PWD/tests/tools/ubsan.supp:print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=suppressions=$PWD/tests/tools/tsan.supp:halt_on_error=1:second_deadlock_stack=1
status=0
for preset in asan tsan; do
    tests/tools/build.sh $preset "$jobs" &&
        /usr/bin/python3 tests/tools/run_tests.py --preset $preset unit integration || status=1
done
exit $status

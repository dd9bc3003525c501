#!/bin/bash
# lint.sh JOBS: what no test sees. TIDY_SECONDS bounds clang-tidy, the only slow part.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
jobs=$1
status=0

# Layers: an include that points the wrong way does not compile, nor does a header that leans on
# its includer (src/cmake/Layer.cmake).
tests/tools/build.sh dev "$jobs" check_headers || status=1

mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
shellcheck --severity=warning "${scripts[@]}" || status=1

mapfile -t python < <(git ls-files '*.py' tests/lab/lab)
/usr/bin/python3 - "${python[@]}" <<'END' || status=1
import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)
END
echo "lint: ${#scripts[@]} shell and ${#python[@]} Python files are read"

/usr/bin/python3 tests/tools/tidy.py build/dev "$jobs" "${TIDY_SECONDS:-180}" || status=1
exit $status

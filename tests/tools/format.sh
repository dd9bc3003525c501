#!/bin/bash
# format.sh check|fix: the C++ sources, by .clang-format.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mapfile -t files < <(find src tests -name '*.cc' -o -name '*.h' | sort)
case ${1:-check} in
    fix) clang-format -i "${files[@]}" ;;
    check)
        clang-format --dry-run --Werror --ferror-limit=3 "${files[@]}" || {
            echo "format: run 'make format'" >&2
            exit 1
        }
        echo "format: ${#files[@]} files are well" ;;
    *) echo "usage: format.sh check|fix" >&2; exit 2 ;;
esac

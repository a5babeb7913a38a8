#!/usr/bin/env bash
# Formats the C++ sources. With --check: changes nothing, and fails where a file is not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/environment.sh
source tools/environment.sh
formatter=$TANDEM_VENV/bin/clang-format
[[ -x $formatter ]] || formatter=$TANDEM_CACHE/lint/bin/clang-format
flags=(-i)
if [[ ${1:-} == --check ]]; then flags=(--dry-run --Werror); fi
git ls-files -z --cached --others --exclude-standard '*.h' '*.cc' | xargs -0 -r "$formatter" "${flags[@]}"

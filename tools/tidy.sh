#!/usr/bin/env bash
# Runs clang-tidy over the sources, or over those named: tools/tidy.sh [FILE...]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/environment.sh
source tools/environment.sh
"$(system_python)" tools/tidy.py "$TANDEM_VENV/bin/clang-tidy" build "$TANDEM_CACHE/tidy" "$@"

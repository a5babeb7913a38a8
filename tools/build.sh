#!/usr/bin/env bash
# Configures and builds one preset: tools/build.sh release|dev|asan|tsan [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/environment.sh
source tools/environment.sh
preset=$1
shift
options=("-DTANDEM_PYTHON=$TANDEM_PYTHON")
case $preset in
  release | dev) options+=("-DTANDEM_TORCH_DIR=$(torch_dir)") ;;
esac
step "Building ($preset)"
cmake --preset "$preset" --log-level=WARNING --no-warn-unused-cli "${options[@]}" \
  ${TANDEM_CMAKE_FLAGS:+"$TANDEM_CMAKE_FLAGS"}
cmake --build --preset "$preset" --parallel "$TANDEM_JOBS" ${1:+--target "$@"}

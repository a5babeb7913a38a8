#!/usr/bin/env bash
# Builds everything that is tested and ends with one run of CTest: the project's tests, the checks
# of the sources, and the tests once more under the sanitizers, all beside each other. Arguments go
# to CTest.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/environment.sh
source tools/environment.sh
TANDEM_CMAKE_FLAGS=-DTANDEM_CHECKS=ON tools/build.sh release
tools/build.sh asan
tools/build.sh tsan
TANDEM_DEMO_DIR=$(examples/demo/make.sh)
export TANDEM_DEMO_DIR
# The tests wait for servers and timers more than they compute: three to a core keep the cores busy.
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$((3 * TANDEM_JOBS))}
step "Testing"
ctest --test-dir build --output-on-failure --no-tests=error "$@"

#!/usr/bin/env bash
# Measures a build: bench/run.sh [PART...]. Prints a table; the parts are those of figures.py, all by default. Some words
# are for themselves: `micro [ARGUMENT...]` runs the micro-benchmarks, `instructions` counts with callgrind,
# `heterogeneous`, `interference`, `crash_loop` and `overload` measure what their scripts say, and
# `peers [ARGUMENT...]` compares with other servers, which it installs.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/environment.sh
source tools/environment.sh
export TANDEM_BUILD_DIR=${TANDEM_BUILD_DIR:-$PWD/build}
export PYTHONPATH=$PWD/tests/support
# The models that servers are compared with; made once, and anew where what makes them has changed.
peer_models() {
  local folder
  folder=$TANDEM_CACHE/peers/models-$(cat bench/make_models.py bench/peers/make_models.py client/python/tandem_export/*.py | sha256sum | cut -c1-12)
  if [[ ! -e $folder/.complete ]]; then
    rm -rf "$folder"
    "$TANDEM_PYTHON" -B bench/peers/make_models.py "$folder" >&2
    touch "$folder/.complete"
  fi
  echo "$folder"
}
case ${1:-} in
  micro) exec "$TANDEM_BUILD_DIR/bench-micro" "${@:2}" ;;
  peers)
    bench/peers/install.sh
    models=$(peer_models)
    step "Comparing"
    exec "$TANDEM_PYTHON" -B bench/peers/compare.py "$models" "${@:2}"
    ;;
  heterogeneous | crash_loop | overload) exec "$TANDEM_PYTHON" -B "bench/$1.py" ;;
  instructions) exec "$TANDEM_PYTHON" -B bench/instructions.py "${@:2}" ;;
esac
models=$TANDEM_CACHE/bench-models-$(sha256sum bench/make_models.py | cut -c1-12)
if [[ ! -e $models/encoder/1/model.pt ]]; then
  step "Making the models"
  "${TANDEM_MODEL_PYTHON:-$TANDEM_PYTHON}" bench/make_models.py "$models"
fi
if [[ ${1:-} == perf_analyzer ]]; then
  program=$(bench/perf_analyzer/install.sh)
  bench/peers/install.sh triton
  peers=$(peer_models)
  step "Measuring"
  exec env PYTHONPATH="$PYTHONPATH:bench:bench/peers" "$TANDEM_PYTHON" -B bench/perf_analyzer/figures.py "$program" "$models" "$peers"
fi
if [[ ! -d $models/resnet18_bf16 ]]; then
  step "Compiling models"
  TANDEM_PYTHON=${TANDEM_MODEL_PYTHON:-$TANDEM_PYTHON} bench/compile_models.sh "$models"
fi
TANDEM_DEMO_DIR=${TANDEM_DEMO_DIR:-$(examples/demo/make.sh)}
step "Measuring"
if [[ ${1:-} == interference ]]; then exec "$TANDEM_PYTHON" -B bench/interference.py "$models"; fi
export TANDEM_DEMO_DIR
exec "$TANDEM_PYTHON" -B bench/figures.py "$models" "$@"

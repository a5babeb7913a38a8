#!/usr/bin/env bash
# Makes the demo's models and data in the cache, where they are not there yet, and prints their folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/environment.sh
source tools/environment.sh

key=$(cat examples/demo/{forest,make_models}.py tools/versions.lock | sha256sum | cut -c1-12)
folder=$TANDEM_CACHE/demo-$key
if [[ ! -e $folder/.complete ]]; then
  {
    step "Making the demo's models"
    if [[ -n ${TANDEM_TORCH_DIR:-} ]]; then
      PYTHONPATH=$(dirname "$TANDEM_TORCH_DIR")${PYTHONPATH:+:$PYTHONPATH}
      export PYTHONPATH
    fi
    if ! "$TANDEM_PYTHON" -c 'import torch'; then
      echo "demo: the models are made with Python's torch, and TANDEM_TORCH_DIR holds none for this Python:" \
        "unset it, or name a torch package in a site-packages folder"
      exit 1
    fi
    rm -rf "$folder"
    # One thread: the models are small, and more would only wait for each other on a busy machine.
    OMP_NUM_THREADS=1 "$TANDEM_PYTHON" examples/demo/make_models.py "$folder"
    touch "$folder/.complete"
  } >&2
fi
echo "$folder"

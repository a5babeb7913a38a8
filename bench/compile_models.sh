#!/usr/bin/env bash
# Compiles the net of resnet18's size for `./dev bench compiled`, in FP32 and bf16: bench/compile_models.sh FOLDER.
# Takes a minute or two, and a C++ compiler.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tandem=${TANDEM_BUILD_DIR:-$here/../build}/tandem
export PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH}
options=('--input=INPUT0=FP32[3,224,224]' --outputs=OUTPUT0 --max-batch-size=1 --batch-sizes=1)
"$tandem" export "$here/make_models.py:residual_net_18" "$1/resnet18_compiled" "${options[@]}"
"$tandem" export "$here/make_models.py:residual_net_18" "$1/resnet18_bf16" "${options[@]}" --precision=bf16

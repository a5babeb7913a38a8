#!/usr/bin/env bash
# Checks what the programs load: the server nothing of LibTorch, a CPU worker nothing of CUDA.
# usage: tools/check_links.sh BUILD_DIR
set -euo pipefail
build=$1
failed=0

# forbid PROGRAM PATTERN: fails where the loader would load a library of that name with PROGRAM.
forbid() {
  local libraries found
  libraries=$(ldd "$build/$1")
  if found=$(grep -E "^\s*($2)" <<<"$libraries"); then
    printf '%s loads what it must not:\n%s\n' "$1" "$found"
    failed=1
  fi
}

forbid tandem 'libtorch|libc10|libcuda|libcudart|libgomp'
forbid tandem-worker 'libtorch_cuda|libc10_cuda|libtorch_python|libpython'
forbid tandem-worker-cuda 'libtorch_python|libpython'
for program in tandem-worker tandem-worker-cuda; do
  if ldd "$build/$program" | grep 'not found'; then
    echo "$program does not find these libraries"
    failed=1
  fi
done
exit "$failed"

#!/usr/bin/env bash
# Tests and measures a build on a machine with a GPU that has Python's torch and nothing else: no
# compiler, no gRPC, no network.
#
#   tools/gpu_check.sh pack [FILE]     makes the bundle that travels, below 60 MB (build/gpu-bundle.tar.gz)
#   tools/gpu_check.sh [OPTION...]     runs it here and writes report.md and report.json; exit code 0: all
#                                      is well, 1: a test failed or a figure was missed, 77: no GPU
#     --bundle FILE     the bundle; the unpacked one that this script lies in, or build/gpu-bundle.tar.gz
#     --out DIR         where the report goes (./gpu-report)
#     --fake-device     without a GPU: a CPU worker takes the GPU worker's place, the figures are not judged
#     --quick           one short round of everything
#
# Environment: TANDEM_TORCH_DIR, the torch to run on (that of python3); TANDEM_PYTHON, a Python with torch
# (python3); TANDEM_BUILD_DIR, the build that is packed (build).
set -euo pipefail

readonly most_bytes=60000000
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
  echo "gpu_check: $*" >&2
  exit 1
}

# The libraries that a program needs and that the target lacks: neither LibTorch's and CUDA's, nor glibc's.
carried_libraries() {
  local libtorch='(torch|c10|gomp|shm|caffe2)[^/]*'
  local cuda='(cudart|cupti|cublas|cudnn|cufft|cufile|curand|cusolver|cusparse|nccl|nv)[^/]*'
  local glibc='(c|m|dl|pthread|rt|util|resolv)'
  ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -vE "/(lib($libtorch|$cuda|$glibc)|ld-linux[^/]*)\.so"
}

pack() {
  local source=$here/.. build file folder program bytes
  build=${TANDEM_BUILD_DIR:-$source/build}
  file=${1:-$build/gpu-bundle.tar.gz}
  folder=$(mktemp -d)
  # shellcheck disable=SC2064  # The folder of now.
  trap "rm -rf '$folder'" EXIT
  mkdir -p "$folder"/tandem-gpu/{bin,lib,lib-cpu-worker}
  local programs=(tandem tandem-worker tandem-worker-cuda tandem_gpu_test bench-libtorch-loop bench-libtorch-loop-cuda)
  for program in "${programs[@]}"; do
    [[ -x $build/$program ]] || fail "$build/$program is not there: build it first"
    cp "$build/$program" "$folder/tandem-gpu/bin/"
  done
  carried_libraries "${programs[@]/#/$build/}" | xargs -I{} cp -L {} "$folder/tandem-gpu/lib/"
  # The empty library that keeps compiled models from loading CUDA into a CPU worker.
  cp -L "$build/lib/libtorch.so" "$folder/tandem-gpu/lib-cpu-worker/"
  if command -v strip >/dev/null; then
    strip --strip-unneeded "$folder"/tandem-gpu/bin/* "$folder"/tandem-gpu/lib/*
  fi
  cp "$source"/bench/gpu/*.py "$folder/tandem-gpu/"
  cp "${BASH_SOURCE[0]}" "$folder/tandem-gpu/gpu_check.sh"
  tar -C "$folder" -czf "$file" tandem-gpu
  bytes=$(stat -c %s "$file")
  ((bytes <= most_bytes)) || fail "the bundle has $bytes bytes; at most $most_bytes may travel"
  echo "$file: $bytes bytes"
}

# Writes a program that starts another one with a loader path of its own.
write_starter() {
  local starter=$1 path=$2 program=$3
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$path" "$program" >"$starter"
  chmod +x "$starter"
}

# Runs the bundle in the folder $1.
run() {
  local bundle=$1 out=$2 fake=$3 quick=$4 python torch state path cuda_worker code=0
  python=${TANDEM_PYTHON:-python3}
  torch=${TANDEM_TORCH_DIR:-$("$python" -c 'import os, torch; print(os.path.dirname(torch.__file__))')} ||
    fail "$python has no torch: set TANDEM_TORCH_DIR, or TANDEM_PYTHON"
  [[ -e $torch/lib/libtorch_cpu.so ]] || fail "$torch holds no LibTorch"
  path=$bundle/lib:$torch/lib
  for folder in "$torch"/../nvidia/*/lib; do
    if [[ -d $folder ]]; then path+=:$folder; fi
  done
  path+=${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  state=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$state'" EXIT
  write_starter "$state/tandem-worker" "$bundle/lib-cpu-worker:$path" "$bundle/bin/tandem-worker"
  write_starter "$state/tandem-worker-cuda" "$path" "$bundle/bin/tandem-worker-cuda"
  cuda_worker=$state/tandem-worker-cuda
  if [[ -n $fake ]]; then cuda_worker=$state/tandem-worker; fi
  printf '%s\n' "LD_LIBRARY_PATH=$path" "TANDEM_WORKER=$state/tandem-worker" \
    "TANDEM_WORKER_CUDA=$cuda_worker" >"$state/environment"
  mkdir -p "$out"
  "$python" -B "$bundle/check.py" --programs "$bundle/bin" --environment "$state/environment" --out "$out" \
    ${fake:+--fake-device} ${quick:+--quick} || code=$?
  echo "report: $out/report.md"
  return "$code"
}

main() {
  local bundle='' out=gpu-report fake='' quick='' unpacked code=0
  if [[ ${1:-} == pack ]]; then
    shift
    pack "$@"
    return
  fi
  while (($#)); do
    case $1 in
      --bundle | --out) (($# > 1)) || fail "$1 wants a value" ;;&
      -h | --help)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
        return
        ;;
      --bundle) bundle=$2 && shift ;;
      --out) out=$2 && shift ;;
      --fake-device) fake=yes ;;
      --quick) quick=yes ;;
      *) fail "no such option: $1 (see the head of ${BASH_SOURCE[0]})" ;;
    esac
    shift
  done
  if [[ -z $bundle && -x $here/bin/tandem ]]; then
    run "$here" "$out" "$fake" "$quick"
    return
  fi
  bundle=${bundle:-$here/../build/gpu-bundle.tar.gz}
  [[ -e $bundle ]] || fail "$bundle is not there: make it with 'tools/gpu_check.sh pack' where the build is"
  unpacked=$(mktemp -d)
  tar -C "$unpacked" -xzf "$bundle"
  "$unpacked/tandem-gpu/gpu_check.sh" --out "$out" ${fake:+--fake-device} ${quick:+--quick} || code=$?
  rm -rf "$unpacked"
  return "$code"
}

main "$@"

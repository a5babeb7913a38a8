#!/usr/bin/env bash
# Copies the programs of the CPU server out of a build folder, with every shared library they load
# that the C library's own package does not bring: docker/stage.sh BUILD_DIR TARGET_DIR
set -euo pipefail
build=$1
target=$2
mkdir -p "$target/bin" "$target/lib"
install --strip "$build/tandem" "$build/tandem-worker" "$target/bin/"
ldd "$build/tandem" "$build/tandem-worker" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
  while read -r library; do
    case $(basename "$library") in
      libc.so.* | libm.so.* | libdl.so.* | librt.so.* | libpthread.so.* | libresolv.so.*) ;;
      *) cp --dereference "$library" "$target/lib/" ;;
    esac
  done

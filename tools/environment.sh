# shellcheck shell=bash
# Sourced by ./dev and the scripts beside: where things lie. Installs nothing.

# Debian's own Python, where it is: its ABI is the one that the wheels in the lock are chosen for.
system_python() {
  if [[ -x /usr/bin/python3 ]]; then echo /usr/bin/python3; else command -v python3; fi
}

has_nvidia_driver() { [[ -e /proc/driver/nvidia ]]; }

TANDEM_CACHE=${TANDEM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/tandem}
# One environment for each state of the lock files, so that a change of a version never mixes.
lock_key=$(cat tools/versions.lock tools/versions-cuda.lock | sha256sum | cut -c1-12)
if has_nvidia_driver; then lock_key+=-cuda; fi
if [[ -n ${TANDEM_TORCH_DIR:-} ]]; then lock_key+=-own-torch; fi
TANDEM_VENV=$TANDEM_CACHE/python-$lock_key
TANDEM_PYTHON=$TANDEM_VENV/bin/python

# The folder that CMake takes LibTorch from.
torch_dir() {
  if [[ -n ${TANDEM_TORCH_DIR:-} ]]; then
    echo "$TANDEM_TORCH_DIR"
  else
    echo "$("$TANDEM_PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch"
  fi
}

# A compilation of a source that includes LibTorch takes about 2 GiB.
default_jobs() {
  local cores memory_jobs
  cores=$(nproc)
  memory_jobs=$(awk '/^MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)
  ((memory_jobs >= 1)) || memory_jobs=1
  echo $((cores < memory_jobs ? cores : memory_jobs))
}
TANDEM_JOBS=${TANDEM_JOBS:-$(default_jobs)}

# Two checkouts of the same sources share what ccache holds.
CCACHE_BASEDIR=$PWD
CCACHE_NOHASHDIR=1

export TANDEM_CACHE TANDEM_VENV TANDEM_PYTHON TANDEM_JOBS CCACHE_BASEDIR CCACHE_NOHASHDIR
export PATH="$TANDEM_CACHE/bin:$PATH"

step() { printf '\n== %s\n' "$*"; }

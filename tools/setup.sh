#!/usr/bin/env bash
# Installs what the words given as arguments need (build, demo, bench, peers, test, lint, docker) and is not there
# yet: Debian packages, the wheels of versions.lock, grpcurl. A second run installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/environment.sh
source tools/environment.sh
words=" $* "

wants() { [[ $words == *" $1 "* ]]; }

is_installed() { [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

install_apt_packages() {
  local package word missing=()
  while read -r package word _; do
    [[ -n $package && $package != \#* ]] || continue
    wants "$word" || continue
    is_installed "$package" || missing+=("$package")
  done <tools/apt-packages.txt
  if wants lint && ! is_installed python3-venv; then missing+=(python3-venv); fi
  ((${#missing[@]})) || return 0
  if ! command -v apt-get >/dev/null; then
    echo "setup: this system has no apt; install the likes of: ${missing[*]}" >&2
    exit 1
  fi
  step "Installing ${#missing[@]} Debian packages"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o Dpkg::Use-Pty=0 "${missing[@]}" </dev/null
}

# pip with the flags that make the lock files the only source of versions, and with the certificates
# that this system trusts, not those that pip brings.
install_wheels() {
  PIP_CERT=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt} \
    "$TANDEM_VENV/bin/pip" install --disable-pip-version-check --no-input --no-deps \
    --only-binary :all: --require-hashes -r "$1"
}

# versions.lock without LibTorch and CUDA, for those who bring their own.
lock_without_torch() {
  awk '/^[^ #]/ {skip = /^(torch|nvidia-)/} !skip' tools/versions.lock
}

install_python_environment() {
  local stamp=$TANDEM_VENV/.complete own_lock
  [[ ! -e $stamp ]] || return 0
  step "Installing the pinned wheels into $TANDEM_VENV"
  rm -rf "$TANDEM_VENV"
  mkdir -p "$TANDEM_CACHE"
  "$(system_python)" -m venv "$TANDEM_VENV"
  if [[ -n ${TANDEM_TORCH_DIR:-} ]]; then
    own_lock=$TANDEM_VENV/versions.lock
    lock_without_torch >"$own_lock"
    install_wheels "$own_lock"
  else
    install_wheels tools/versions.lock
    if has_nvidia_driver; then
      install_wheels tools/versions-cuda.lock
    else
      step "No NVIDIA driver here: making stand-ins for the CUDA libraries"
      "$TANDEM_PYTHON" tools/cuda_stand_ins.py "$(torch_dir)"
    fi
  fi
  touch "$stamp"
}

install_formatter() {
  local venv=$TANDEM_CACHE/lint
  if [[ -x $TANDEM_VENV/bin/clang-format || -x $venv/bin/clang-format ]]; then return 0; fi
  "$(system_python)" -m venv "$venv"
  awk '/^[^ #]/ {keep = /^clang-format/} keep' tools/versions.lock >"$venv/versions.lock"
  "$venv/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes -r "$venv/versions.lock"
}

# grpcurl's sums are checked by Go. A machine that cannot fetch it goes without: its test says so.
install_grpcurl() {
  [[ ! -x $TANDEM_CACHE/bin/grpcurl ]] || return 0
  step "Building grpcurl"
  GOBIN=$TANDEM_CACHE/bin GOFLAGS='' go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.8.7 </dev/null ||
    echo "setup: grpcurl could not be built; its test will be skipped" >&2
}

install_apt_packages
if wants lint; then install_formatter; fi
if wants build; then install_python_environment; fi
if wants test; then install_grpcurl; fi

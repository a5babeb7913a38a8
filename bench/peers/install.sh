#!/usr/bin/env bash
# Installs the peers, or those named, into environments of their own in the cache: bench/peers/install.sh [NAME...]. A
# second run installs nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/environment.sh
source tools/environment.sh
project=$("$TANDEM_PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
locks=("${@/%/.lock}")
(($#)) || locks=(bench/peers/versions/*.lock)
for lock in "${locks[@]##*/}"; do
  lock=bench/peers/versions/$lock
  name=$(basename "$lock" .lock)
  venv=$TANDEM_CACHE/peers/$name-$(sha256sum "$lock" | cut -c1-12)
  [[ ! -e $venv/.complete ]] || continue
  step "Installing $name"
  rm -rf "$venv"
  "$(system_python)" -m venv "$venv"
  PIP_CERT=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt} "$venv/bin/pip" install -q --disable-pip-version-check \
    --no-input --no-deps --only-binary :all: --require-hashes -r "$lock"
  # LibTorch, and what the peer itself does not bring, come from the project's environment.
  echo "$project" >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
  touch "$venv/.complete"
done

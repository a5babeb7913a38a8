#!/usr/bin/env bash
# Installs Triton's perf_analyzer into the cache and prints the command that runs it. A second run installs nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/environment.sh
source tools/environment.sh
lock=bench/perf_analyzer/versions.lock
folder=$TANDEM_CACHE/perf_analyzer-$(sha256sum "$lock" | cut -c1-12)
needed_glibc=2.38

# Debian 13's libraries, from where this Debian takes its packages.
unpack_libraries() {
  local mirror apt
  # shellcheck disable=SC2016  # apt-get puts the address in.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $(. /etc/os-release && echo "$VERSION_CODENAME")" | sed -n 1p)
  mkdir -p "$folder"/apt/{lists,cache/archives}/partial "$folder/root"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$folder/apt/sources.list"
  apt=(-qq -o "Dir::Etc::SourceList=$folder/apt/sources.list" -o Dir::Etc::SourceParts=- -o APT::Sandbox::User=root
    -o "Dir::State::Lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt/cache")
  apt-get "${apt[@]}" update
  (cd "$folder/apt" && apt-get "${apt[@]}" download libc6 libstdc++6 libgcc-s1 libssl3t64 zlib1g libzstd1)
  for package in "$folder"/apt/*.deb; do dpkg -x "$package" "$folder/root"; done
  rm -rf "$folder/apt"
}

if [[ ! -e $folder/run ]]; then
  step "Installing perf_analyzer" >&2
  rm -rf "$folder"
  mkdir -p "$folder"
  # Its tag asks for a newer glibc than pip may find here.
  PIP_CERT=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt} "$TANDEM_PYTHON" -m pip download -q --disable-pip-version-check \
    --no-input --no-deps --only-binary :all: --python-version 3.12 --platform manylinux_2_38_x86_64 --require-hashes \
    -r "$lock" -d "$folder"
  "$TANDEM_PYTHON" -m zipfile -e "$folder"/*.whl "$folder"
  program=$folder/perf_analyzer/bin/perf_analyzer
  chmod +x "$program"
  command=("$program")
  glibc=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
  if [[ $(printf '%s\n' "$glibc" $needed_glibc | sort -V | head -n 1) != "$needed_glibc" ]]; then
    unpack_libraries
    libraries=$folder/root/usr/lib/x86_64-linux-gnu
    command=("$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$program")
  fi
  { echo '#!/bin/sh' && printf 'exec' && printf ' "%s"' "${command[@]}" && printf ' "$@"\n'; } >"$folder/part"
  chmod +x "$folder/part"
  mv "$folder/part" "$folder/run"
fi
echo "$folder/run"

#!/usr/bin/env bash
# Writes the lock files from versions.in and versions-cuda.in: every version again, with the hash of
# each of its wheels. Run it after a change of a version; needs network and Python's venv.
set -euo pipefail
cd "$(dirname "$0")"
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet uv==0.13.9
for name in versions versions-cuda; do
  UV_CUSTOM_COMPILE_COMMAND=tools/lock.sh "$venv/bin/uv" pip compile --quiet --no-deps \
    --generate-hashes --universal --python-version 3.10 --no-annotate \
    "$name.in" --output-file "$name.lock"
done
# The servers that bench/peers compares with, with all that they need.
for input in ../bench/peers/versions/*.in; do
  UV_CUSTOM_COMPILE_COMMAND=tools/lock.sh "$venv/bin/uv" pip compile --quiet \
    --generate-hashes --universal --python-version 3.11 --no-annotate \
    "$input" --output-file "${input%.in}.lock"
done

#!/usr/bin/env bash
# The demo: serves the four models on a CPU pool and a GPU pool, and asks them. Run by `./dev demo`.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tools/environment.sh
source tools/environment.sh

demo=$(examples/demo/make.sh)
work=$(mktemp -d)
server=
stop_server() {
  if [[ -n $server ]]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || true
    server=
  fi
  rm -rf "$work"
}
trap stop_server EXIT

lanes=$(($(nproc) > 1 ? $(nproc) - 1 : 1))
pools=("--pool=cpu=device:cpu,lanes:$lanes")
if has_nvidia_driver; then
  pools+=("--pool=gpu0=device:gpu:0")
else
  pools+=("--pool=stand-in=device:cpu,serves:gpu,lanes:1")
fi

step "Starting the server"
if ! has_nvidia_driver; then
  echo "There is no GPU here: a second pool on the CPU, named stand-in, serves the models of the GPU pool."
fi
build/tandem serve --model-repository="$demo/models" --address=127.0.0.1 --grpc-port=0 --http-port=0 \
  --metrics-port=0 --port-file="$work/ports" "${pools[@]}" >"$work/server.log" 2>&1 &
server=$!
until [[ -s $work/ports ]]; do
  if ! kill -0 "$server" 2>/dev/null; then
    cat "$work/server.log" >&2
    echo "demo: the server ended" >&2
    exit 1
  fi
  sleep 0.05
done
port=$("$TANDEM_PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["grpc"])' "$work/ports")
export TANDEM_TARGET=127.0.0.1:$port
build/tandem status

step "One request, three models on two pools, one reply"
models=(--cpu-models "digits_forest,digits_linear" --gpu-models digits_conv --combine majority_vote)
"$TANDEM_PYTHON" examples/demo/show.py digit "$demo"
build/tandem predict "${models[@]}" --input image="$demo/data/digit.npy"

step "The held-out half of the digits, through both pools at once"
build/tandem predict "${models[@]}" --dataset "$demo/data/digits.npy" --output "$work/digits.npz"
"$TANDEM_PYTHON" examples/demo/show.py accuracy "$demo" "$work/digits.npz"

step "Speech: where silero-vad hears somebody speak"
build/tandem infer speech --input x="$demo/data/speech.npy" --input 'sr=[16000]' --json >"$work/speech.json"
"$TANDEM_PYTHON" examples/demo/show.py speech "$demo" "$work/speech.json"

step "Stopping the server"
kill -TERM "$server"
code=0
wait "$server" || code=$?
server=
echo "The server answered what it had accepted, ended its workers and left with exit code $code."
echo "Serve the same models yourself: build/tandem serve --address=127.0.0.1 --model-repository=$demo/models ${pools[*]}"
exit "$code"

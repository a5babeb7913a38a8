#!/usr/bin/env bash
# Builds the image of the CPU server, runs it, asks it something from outside, reads its metrics and
# stops it; then the same with the compose file, where a Prometheus reads the metrics. Exits with 77
# where no engine can be had, which is no verdict on the image.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh build demo docker
# shellcheck source=tools/environment.sh
source tools/environment.sh
# shellcheck source=tools/docker_engine.sh
source tools/docker_engine.sh

image=tandem:cpu
container=tandem-test-$$
prometheus=
demo=$(examples/demo/make.sh)
compose() {
  TANDEM_MODELS="$demo/models" HTTP_PORT=0 GRPC_PORT=0 PROMETHEUS_PORT=0 PROMETHEUS_IMAGE=$prometheus \
    docker-compose --project-name "$container" -f docker/compose.yaml "$@"
}
await_ready() {
  curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors --output /dev/null "http://$1/v2/health/ready"
}
clean_up() {
  "$docker" rm -f "$container" >/dev/null 2>&1 || true
  compose down >/dev/null 2>&1 || true
  stop_engine
}
trap clean_up EXIT
start_engine || { echo "test-docker: SKIPPED, no container engine can be had here"; exit 77; }
base_image debian:bookworm-slim

step "Building $image"
# Debian 12's engine has the classic builder only. The build sees the network as this machine does.
DOCKER_BUILDKIT=0 "$docker" build --network host -f docker/Dockerfile -t "$image" .

step "Running it"
"$docker" run -d --name "$container" --read-only --cap-drop ALL --security-opt no-new-privileges \
  -p 127.0.0.1::8000 -p 127.0.0.1::8001 -p 127.0.0.1::8002 -v "$demo/models:/models:ro" "$image" \
  serve --pool=cpu=device:cpu,lanes:1 --pool=stand-in=device:cpu,serves:gpu,lanes:1 >/dev/null
published() { "$docker" port "$container" "$1" | head -n 1; }
if ! await_ready "$(published 8000)"; then
  "$docker" logs "$container" >&2
  echo "test-docker: the server did not become ready" >&2
  exit 1
fi
"$TANDEM_PYTHON" docker/ask_server.py "$(published 8001)" "$demo"
metrics=$(curl --silent --fail "http://$(published 8002)/metrics")
grep -E '^nv_inference_request_success.*digits_forest.* [1-9]' <<<"$metrics"
[[ $("$docker" exec "$container" id -u) != 0 ]]

step "Stopping it"
"$docker" stop --time 40 "$container" >/dev/null
code=$("$docker" inspect --format '{{.State.ExitCode}}' "$container")
size=$("$docker" image inspect --format '{{.Size}}' "$image")
echo "test-docker: exit code $code, image of $((size / 1000000)) MB"
[[ $code == 0 ]]

step "Running it beside Prometheus"
prometheus=$(prometheus_image)
compose up -d
await_ready "$(compose port tandem 8000)"
"$TANDEM_PYTHON" docker/ask_server.py "$(compose port tandem 8001)" "$demo"
for attempt in {1..60}; do
  answer=$(curl --silent --get --data-urlencode 'query=nv_inference_request_success{model="digits_forest"} > 0' \
    "http://$(compose port prometheus 9090)/api/v1/query") || true
  if [[ $answer == *'"value"'* ]]; then break; fi
  sleep 1
done
echo "Prometheus, asked $attempt times: $answer"
[[ $answer == *'"value"'* ]]
compose stop --timeout 40
[[ $("$docker" inspect --format '{{.State.ExitCode}}' "$(compose ps --quiet tandem)") == 0 ]]

# shellcheck shell=bash
# Sourced by test_docker.sh: an engine to talk to, and a base image. Uses the engine that runs; where
# none does, starts one with a socket and a folder of its own, and stops that one in the end.

docker=docker
engine_pid=
engine_folder=

start_engine() {
  if docker info >/dev/null 2>&1; then return 0; fi
  command -v dockerd >/dev/null && [[ $EUID -eq 0 ]] || return 1
  engine_folder=$(mktemp -d)
  dockerd --host "unix://$engine_folder/socket" --exec-root "$engine_folder/exec" \
    --pidfile "$engine_folder/pid" --data-root "$TANDEM_CACHE/docker" >"$engine_folder/log" 2>&1 &
  engine_pid=$!
  # Debian's own client: the engine is Debian's, too. The variable is for docker-compose as well.
  docker=/usr/bin/docker
  export DOCKER_HOST=unix://$engine_folder/socket
  local attempt
  for attempt in {1..60}; do
    if "$docker" info >/dev/null 2>&1; then return 0; fi
    if ! kill -0 "$engine_pid" 2>/dev/null; then break; fi
    sleep 0.5
  done
  echo "test-docker: the engine did not start after $attempt tries:" >&2
  tail -n 5 "$engine_folder/log" >&2
  return 1
}

stop_engine() {
  if [[ -n $engine_pid ]]; then
    kill "$engine_pid" 2>/dev/null || true
    wait "$engine_pid" 2>/dev/null || true
  fi
  if [[ -n $engine_folder ]]; then
    # The engine leaves the namespace of host networking mounted.
    umount "$engine_folder"/exec/netns/* 2>/dev/null || true
    rm -rf "$engine_folder"
  fi
}

# prometheus_image: prints the name of an image of Prometheus, pulled or made from Debian's package.
prometheus_image() {
  local name=prom/prometheus:v2.53.3
  if timeout 60 "$docker" pull --quiet $name >/dev/null 2>&1; then echo $name; return 0; fi
  DOCKER_BUILDKIT=0 "$docker" build --quiet --network host -t tandem-test-prometheus - >&2 <<'DOCKERFILE'
FROM debian:bookworm-slim
RUN apt-get update -q && apt-get install -qy --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/*
WORKDIR /prometheus
ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml"]
DOCKERFILE
  echo tandem-test-prometheus
}

# base_image NAME: is there, can be pulled, or is made from Debian's packages.
base_image() {
  if "$docker" image inspect "$1" >/dev/null 2>&1; then return 0; fi
  if timeout 60 "$docker" pull --quiet "$1" 2>/dev/null; then return 0; fi
  step "No registry of images here: making $1 with debootstrap"
  local root
  root=$(mktemp -d)
  debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 || { tail "$root.log" >&2; return 1; }
  # What this machine trusts and how it reaches Debian's packages holds for its containers as well.
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp -n /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  tar -C "$root" -c . | "$docker" import - "$1" >/dev/null
  rm -rf "$root" "$root.log"
}

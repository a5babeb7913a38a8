"""A server of the bundle's programs, and loads on it; with Python's own library alone."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

START_SECONDS = 300
STOP_SECONDS = 30


class Cores:
    """Which cores what runs on. With few of them, all share all."""

    def __init__(self):
        self.all = sorted(os.sched_getaffinity(0))
        self.split = len(self.all) >= 8
        self.front_end = self.all[0:2]
        self.gpu = self.all[2:4]
        self.client = self.all[4:6] if self.split else self.all
        self.cpu = self.all[6:] if self.split else self.all

    def key(self, cores):
        """The cores as a pool's key."""
        return f",cores:{','.join(map(str, cores))}" if self.split else ""


def pinned(cores):
    return lambda: os.sched_setaffinity(0, cores)


class Server:
    """`tandem serve` with a CPU pool and a GPU pool, for the time of a `with` block."""

    def __init__(self, programs, environment, models, folder, cores):
        self.programs = programs
        self.environment = environment
        self.cores = cores
        self.log_path = os.path.join(folder, "server.log")
        self.port_file = os.path.join(folder, "ports")
        cpu_lanes = max(1, len(cores.cpu) - (0 if cores.split else 1))
        self.cpu_lanes = cpu_lanes
        self.command = [
            os.path.join(programs, "tandem"),
            "serve",
            f"--model-repository={models}",
            "--address=127.0.0.1",
            "--grpc-port=0",
            "--http-port=0",
            "--metrics-port=0",
            f"--port-file={self.port_file}",
            f"--pool=cpu=device:cpu,lanes:{cpu_lanes},threads:1{cores.key(cores.cpu)}",
            f"--pool=gpu=device:gpu:0,lanes:2,threads:1{cores.key(cores.gpu)}",
        ]
        if cores.split:
            self.command.append(f"--front-end-cores={','.join(map(str, cores.front_end))}")
        self.process = None
        self.ports = {}

    def __enter__(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self.process.kill()
            self.process.wait()
            print(self.log(), flush=True)
            raise
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def notes(self):
        """What workers said of their models."""
        return [line for line in self.log().splitlines() if " says: " in line]

    def _wait(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}")
            if self._is_ready():
                return
            time.sleep(0.05)
        raise RuntimeError("the server did not get ready in time")

    def _is_ready(self):
        if not os.path.exists(self.port_file):
            return False
        with open(self.port_file, encoding="ascii") as file:
            self.ports = json.load(file)
        url = f"http://127.0.0.1:{self.ports['http']}/v2/health/ready"
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                return reply.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def start_load(self, model, seconds, *options):
        """A running `tandem bench`."""
        command = [
            os.path.join(self.programs, "tandem"),
            "bench",
            model,
            f"--target=127.0.0.1:{self.ports['grpc']}",
            f"--seconds={seconds}",
            f"--warm-up={min(1, seconds)}",
            "--json",
            *options,
        ]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=pinned(self.cores.client),
        )

    def load(self, model, seconds, *options):
        return level_of(self.start_load(model, seconds, *options))


def level_of(bench):
    """What a `tandem bench` measured at its one level."""
    out, errors = bench.communicate()
    if bench.returncode not in (0, 1) or not out:
        raise RuntimeError(f"the load failed: {errors.decode(errors='replace')}")
    level = json.loads(out)["levels"][0]
    if level["failures"]:
        raise RuntimeError(f"{level['failures']} calls failed: {level['first_failure']}")
    return level

"""Prints what a model that crashes its worker again and again costs the other models of its pool: their
p99 and errors, quiet and meanwhile, in turns.

usage: crash_loop.py   (with TANDEM_BUILD_DIR)
"""

import contextlib
import itertools
import json
import os
import statistics
import subprocess
import threading

import grpc
import numpy as np
from harness import build_path
from harness.recovery import worker
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_request

ROUNDS = int(os.environ.get("TANDEM_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("TANDEM_BENCH_SECONDS", "10"))
# Requests a second that wait 2 ms each in their worker, so that the cores are free for restarts.
RATE = 200
POISON = 222


def load(server):
    """An open loop of the healthy model; p99 in ms, and the answers that were errors."""
    command = [
        build_path("tandem"), "bench", "healthy", f"--target={server.address}", f"--rate={RATE}",
        "--poisson", f"--seconds={SECONDS}", "--warm-up=0.5", "--json",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    level = json.loads(done.stdout)["levels"][0]
    return level["latency_us"]["p99"] / 1e3, level["failures"]


class CrashLoop:
    """A client that sends, one after the other, requests of which each ends its worker."""

    _numbers = itertools.count()

    def __init__(self, server):
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _ask(self):
        while not self._stop.is_set():
            values = np.array([[POISON, next(self._numbers), 3, 4]], np.float32)
            with contextlib.suppress(grpc.RpcError):
                request = infer_request("crashing", {"INPUT0": values})
                self._server.infer.ModelInfer(request, timeout=SECONDS)


def main():
    with contextlib.ExitStack() as stack:
        repository = stack.enter_context(Repository())
        repository.synthetic("healthy", parameters={"alpha_us": 2000})
        repository.synthetic("crashing", parameters={"mode": "crash", "trigger": "poison"})
        server = stack.enter_context(
            Server(repository.path, flags=("--pool=cpu=device:cpu,processes:2,lanes:2",))
        )
        rounds = []
        for _ in range(ROUNDS):
            quiet = load(server)
            before = sum(worker(server, index=i).restarts for i in range(2))
            with CrashLoop(server):
                crashing = load(server)
            deaths = sum(worker(server, index=i).restarts for i in range(2)) - before
            rounds.append((quiet, crashing))
            print(f"quiet: p99 {quiet[0]:.2f} ms, errors {quiet[1]}; while a model crashes: "
                  f"p99 {crashing[0]:.2f} ms, errors {crashing[1]}, {deaths} restarts", flush=True)
        ratio = statistics.median(crashing[0] / quiet[0] for quiet, crashing in rounds)
        errors = sum(crashing[1] for _, crashing in rounds)
        print(f"p99 of the others while one crash-loops ÷ quiet: {ratio:.2f}, at most 1.10, with "
              f"{errors} errors, at most 0: {'holds' if ratio <= 1.1 and errors == 0 else 'MISSED'}")


if __name__ == "__main__":
    main()

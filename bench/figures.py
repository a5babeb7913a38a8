"""Prints the project's figures, measured on this machine. What is compared runs in turns, several
rounds of each, and the medians are told.

usage: figures.py FOLDER-OF-MODELS   (with TANDEM_BUILD_DIR, and TANDEM_DEMO_DIR for the start with
the demo's models)
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

from harness import build_path
from harness.processes import children, resident_bytes
from harness.repository import Repository
from harness.server import Server

ROUNDS = 5
SECONDS = 4
MIB = 1 << 20
CORES = len(os.sched_getaffinity(0))


def show(what, value, bound=""):
    print(f"{what:<66} {value:>16}  {bound}", flush=True)


def client(address, model, clients, shape):
    """One closed loop; its report."""
    command = [
        build_path("bench-client"),
        f"--address={address}",
        f"--model={model}",
        f"--clients={clients}",
        f"--shape={shape}",
        f"--seconds={SECONDS}",
    ]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def libtorch_loop(model, loops):
    """Calls a second of as many bare loops in one process, with the settings that are fastest."""
    command = [
        build_path("bench-libtorch-loop"),
        f"--model={model}",
        "--input-shape=1,3,224,224",
        "--optimize=inference",
        "--profiling=false",
        f"--loops={loops}",
        f"--seconds={SECONDS}",
    ]
    reply = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(reply)["runs_per_second"]


@contextlib.contextmanager
def echo_server():
    """The bare echo; its address."""
    with subprocess.Popen(
        [build_path("bench-echo-server")], stdout=subprocess.PIPE, text=True
    ) as process:
        yield "127.0.0.1:" + process.stdout.readline().strip()
        process.terminate()


def pool(lanes):
    return (f"--pool=cpu=device:cpu,lanes:{lanes},threads:1",)


def memory_and_start():
    with Repository() as empty:
        with Server(empty.path, flags=pool(CORES), worker=None) as server:
            (worker,) = children(server.process.pid)
            parent = resident_bytes(server.process.pid) / MIB
            show("memory of the server, idle", f"{parent:.0f} MiB", "at most 60")
            show(
                "memory of a CPU worker without models",
                f"{resident_bytes(worker) / MIB:.0f} MiB",
                "at most 150",
            )
    demo = os.environ.get("TANDEM_DEMO_DIR")
    if not demo:
        show("start to ready with the demo's models", "not measured", "TANDEM_DEMO_DIR is not set")
        return
    times = []
    for _ in range(ROUNDS):
        start = time.monotonic()
        with Server(os.path.join(demo, "models"), worker=None):
            times.append(time.monotonic() - start)
    show("start to ready with the demo's models", f"{statistics.median(times):.2f} s", "at most 2")


def against_libtorch(models):
    model = os.path.join(models, "resnet18", "1", "model.pt")
    for loops in sorted({1, CORES}):
        with Server(models, flags=pool(loops), worker=None) as server:
            bare, served, p50, p99 = [], [], [], []
            for _ in range(ROUNDS):
                bare.append(libtorch_loop(model, loops))
                report = client(server.address, "resnet18", 2 * loops, "1,3,224,224")
                served.append(report["calls_per_second"])
                p50.append(report["p50_us"])
                p99.append(report["p99_us"])
        ratio = statistics.median(s / b for s, b in zip(served, bare))
        name = f"resnet18, batch 1, {loops} lane(s)"
        show(name + ": bare LibTorch loop", f"{statistics.median(bare):.1f} /s")
        show(name + ": through the server", f"{statistics.median(served):.1f} /s")
        show(
            name + ": p50, p99",
            f"{statistics.median(p50) / 1e3:.1f}, {statistics.median(p99) / 1e3:.1f} ms",
        )
        show(name + ": ratio", f"{ratio:.3f}", "at least 0.90")


def against_bare_echo(models):
    with (
        echo_server() as echo,
        Server(models, flags=pool(CORES), worker="tandem-worker-plain") as server,
    ):
        for clients in (1, 16, 32):
            reports = {"bare gRPC": [], "Tandem": []}
            for _ in range(ROUNDS):
                reports["bare gRPC"].append(client(echo, "echo", clients, "1,4"))
                reports["Tandem"].append(client(server.address, "echo", clients, "1,4"))
            for who, rounds in reports.items():
                rate = statistics.median(r["calls_per_second"] for r in rounds)
                p50, p99 = (
                    statistics.median(r[q] for r in rounds) / 1e3 for q in ("p50_us", "p99_us")
                )
                show(
                    f"echo, {clients} client(s), {who}: p50 {p50:.3f} ms, p99 {p99:.3f} ms",
                    f"{rate:.0f} /s",
                )


def main():
    models = sys.argv[1]
    show("cores", CORES)
    memory_and_start()
    against_libtorch(models)
    against_bare_echo(models)


if __name__ == "__main__":
    main()

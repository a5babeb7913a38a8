"""Prints the project's figures, measured on this machine. What is compared runs in turns, several
rounds of each, and the medians are told.

usage: figures.py FOLDER-OF-MODELS [PART...]   (with TANDEM_BUILD_DIR, and TANDEM_DEMO_DIR for the
start with the demo's models). Parts: memory, start, libtorch, echo; all by default.
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

ROUNDS = int(os.environ.get("TANDEM_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("TANDEM_BENCH_SECONDS", "4"))
MIB = 1 << 20
CORES = len(os.sched_getaffinity(0))


def show(what, value, limit="", holds=None):
    """One line. `holds`: whether the value keeps to its limit."""
    verdict = "" if holds is None else "  holds" if holds else "  MISSED"
    print(f"{what:<66} {value:>12}  {limit}{verdict}", flush=True)


def load(address, model, clients):
    """One closed loop of `tandem bench`; what it tells of its one level."""
    command = [
        build_path("tandem"),
        "bench",
        model,
        f"--target={address}",
        f"--concurrency={clients}",
        f"--seconds={SECONDS}",
        "--json",
    ]
    reply = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(reply)["levels"][0]


def medians(reports):
    """Calls a second, and the latencies' p50 and p99 in milliseconds."""
    rate = statistics.median(r["calls_per_second"] for r in reports)
    p50, p99 = (
        statistics.median(r["latency_us"][q] for r in reports) / 1e3 for q in ("p50", "p99")
    )
    return rate, p50, p99


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


def memory(_models):
    with Repository() as empty, Server(empty.path, flags=pool(CORES), worker=None) as server:
        (worker,) = children(server.process.pid)
        for what, pid, limit in (
            ("memory of the server, idle", server.process.pid, 60),
            ("memory of a CPU worker without models", worker, 150),
        ):
            used = resident_bytes(pid) / MIB
            show(what, f"{used:.0f} MiB", f"at most {limit}", used <= limit)


def start(_models):
    what = "start to ready with the demo's models"
    demo = os.environ.get("TANDEM_DEMO_DIR")
    if not demo:
        show(what, "not measured", "TANDEM_DEMO_DIR is not set")
        return
    times = []
    for _ in range(ROUNDS):
        begin = time.monotonic()
        with Server(os.path.join(demo, "models"), worker=None):
            times.append(time.monotonic() - begin)
    took = statistics.median(times)
    show(what, f"{took:.2f} s", "at most 2", took <= 2)


def libtorch(models):
    model = os.path.join(models, "resnet18", "1", "model.pt")
    for loops in sorted({1, CORES}):
        with Server(models, flags=pool(loops), worker=None) as server:
            bare, reports = [], []
            for _ in range(ROUNDS):
                bare.append(libtorch_loop(model, loops))
                reports.append(load(server.address, "resnet18", 2 * loops))
        ratio = statistics.median(r["calls_per_second"] / b for r, b in zip(reports, bare))
        rate, p50, p99 = medians(reports)
        name = f"resnet18, batch 1, {loops} lane(s)"
        show(name + ": bare LibTorch loop", f"{statistics.median(bare):.1f} /s")
        show(name + f": p50 {p50:.1f} ms, p99 {p99:.1f} ms", f"{rate:.1f} /s")
        show(name + ": through the server ÷ bare", f"{ratio:.3f}", "at least 0.90", ratio >= 0.90)


def echo(models):
    with (
        echo_server() as bare,
        Server(models, flags=pool(1), worker="tandem-worker-plain") as server,
    ):
        for clients, limit in ((1, None), (16, 0.85), (32, 0.95)):
            reports = {"bare gRPC": [], "Tandem": []}
            for _ in range(ROUNDS):
                reports["bare gRPC"].append(load(bare, "echo", clients))
                reports["Tandem"].append(load(server.address, "echo", clients))
            name = f"echo, {clients} client(s)"
            for who, rounds in reports.items():
                rate, p50, p99 = medians(rounds)
                show(f"{name}, {who}: p50 {p50:.3f} ms, p99 {p99:.3f} ms", f"{rate:.0f} /s")
            pairs = list(zip(reports["Tandem"], reports["bare gRPC"]))
            if limit is None:
                added = statistics.median(
                    t["latency_us"]["p50"] - b["latency_us"]["p50"] for t, b in pairs
                )
                show(f"{name}: added to p50", f"{added:.0f} µs", "at most 30", added <= 30)
            else:
                ratio = statistics.median(
                    t["calls_per_second"] / b["calls_per_second"] for t, b in pairs
                )
                show(
                    f"{name}: Tandem ÷ bare", f"{ratio:.3f}", f"at least {limit}", ratio >= limit
                )


PARTS = {part.__name__: part for part in (memory, start, libtorch, echo)}


def main():
    models, *parts = sys.argv[1:]
    show("cores", CORES)
    for part in parts or PARTS:
        PARTS[part](models)


if __name__ == "__main__":
    main()

"""Prints the project's figures, measured on this machine. What is compared runs in turns, several
rounds of each, and the medians are told.

usage: figures.py FOLDER-OF-MODELS [PART...]   (with TANDEM_BUILD_DIR, and TANDEM_DEMO_DIR for the
start with the demo's models). Parts: memory, two_models, start, libtorch, echo, and those of model_figures.py; all
by default.
"""

import os
import statistics
import sys
import time

import model_figures
from harness.processes import children, cpu_seconds, proportional_bytes, resident_bytes
from harness.repository import Repository
from harness.server import Server
from measure import CORES, MIB, ROUNDS, echo_server, libtorch_loop, load, medians, pool, ratio_of_rates, show


def memory(_models):
    with Repository() as empty, Server(empty.path, flags=pool(CORES), worker=None) as server:
        (worker,) = children(server.process.pid)
        for what, pid, limit in (
            ("memory of the server, idle", server.process.pid, 60),
            ("memory of a CPU worker without models", worker, 150),
        ):
            used = resident_bytes(pid) / MIB
            show(what, f"{used:.0f} MiB", f"at most {limit}", used <= limit)


def await_loads(workers):
    """The server is ready when each model runs in one worker; the others load it then. Nothing tells
    when they have: returns when no worker computes any more.
    """
    before = None
    while (now := [cpu_seconds(pid) for pid in workers]) != before:
        before = now
        time.sleep(0.3)


def two_models(models):
    """A small and a larger net on two workers. The memory is that with both models in both."""
    with Repository() as repository:
        for name in ("small", "resnet18"):
            with open(os.path.join(models, name, "config.pbtxt"), encoding="utf-8") as file:
                repository.add(name, file.read(),
                               files={"model.pt": os.path.join(models, name, "1", "model.pt")})
        times, used = [], []
        for _ in range(ROUNDS):
            begin = time.monotonic()
            flags = ("--pool=cpu=device:cpu,processes:2,lanes:1,threads:1",)
            with Server(repository.path, flags=flags, worker=None) as server:
                times.append(time.monotonic() - begin)
                workers = children(server.process.pid)
                await_loads(workers)
                pids = [server.process.pid, *workers]
                used.append(sum(proportional_bytes(pid) for pid in pids) / MIB)
    took, mebibytes = statistics.median(times), statistics.median(used)
    show("two models, two workers: start to ready", f"{took:.2f} s", "at most 1", took <= 1)
    show("two models, two workers: memory of all processes (PSS)", f"{mebibytes:.0f} MiB",
         "at most 350", mebibytes <= 350)


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


def echo(_models):
    """A model that copies, alone and with dynamic batching, beside a bare echo."""
    with (
        echo_server() as bare,
        Repository() as repository,
        Server(
            repository.synthetic("echo")
            .synthetic("batched", max_batch_size=32, extra="dynamic_batching { }")
            .path,
            flags=pool(1),
            worker="tandem-worker-plain",
        ) as server,
    ):
        calls = {
            "bare gRPC": (bare, "echo"),
            "Tandem": (server.address, "echo"),
            "Tandem, with batching": (server.address, "batched"),
        }
        for clients, limit in ((1, None), (16, 0.85), (32, 0.95)):
            reports = {who: [] for who in calls}
            for _ in range(ROUNDS):
                for who, (address, model) in calls.items():
                    reports[who].append(load(address, model, clients))
            name = f"echo, {clients} client(s)"
            for who, rounds in reports.items():
                rate, p50, p99 = medians(rounds)
                show(f"{name}, {who}: p50 {p50:.3f} ms, p99 {p99:.3f} ms", f"{rate:.0f} /s")
            bare_rounds = reports.pop("bare gRPC")
            for who, rounds in reports.items():
                if limit is None:
                    added = statistics.median(
                        t["latency_us"]["p50"] - b["latency_us"]["p50"]
                        for t, b in zip(rounds, bare_rounds)
                    )
                    show(f"{name}, {who}: added to p50", f"{added:.0f} µs", "at most 30",
                         added <= 30)
                else:
                    ratio = ratio_of_rates(rounds, bare_rounds)
                    show(f"{name}: {who} ÷ bare", f"{ratio:.3f}", f"at least {limit}",
                         ratio >= limit)


PARTS = {part.__name__: part for part in (memory, two_models, start, libtorch, echo, *model_figures.PARTS)}


def main():
    models, *parts = sys.argv[1:]
    show("cores", CORES)
    for part in parts or PARTS:
        PARTS[part](models)


if __name__ == "__main__":
    main()

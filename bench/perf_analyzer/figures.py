"""Loads Tandem, a bare gRPC echo and Triton with perf_analyzer, in turns, and prints the medians.

usage: figures.py PERF_ANALYZER FOLDER-OF-MODELS FOLDER-OF-PEERS-MODELS   (with TANDEM_BUILD_DIR and TANDEM_CACHE;
install.sh prints the first, and has Triton installed where bench/peers/install.sh has run)
"""

import contextlib
import csv
import os
import statistics
import subprocess
import sys
import tempfile

from harness.server import Server
from measure import CORES, ROUNDS, SECONDS, echo_server, medians, pool, ratio_of_rates, show
from peers import Triton

WINDOWS = 3


def perf_analyzer(program, address, model, clients):
    """What one closed loop tells, as measure.load tells it."""
    with tempfile.TemporaryDirectory(prefix="tandem-perf-analyzer-") as folder:
        table = os.path.join(folder, "table.csv")
        command = [program, "-m", model, "-i", "grpc", "-u", address, "--concurrency-range", str(clients)]
        # Three windows, however they differ: the rounds' median tells what is usual.
        command += ["-p", str(round(SECONDS * 1000 / WINDOWS)), "-r", str(WINDOWS), "-s", "999", "-f", table]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode or not os.path.exists(table):
            sys.exit(f"perf_analyzer ended with {done.returncode}:\n{done.stdout}")
        with open(table, encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
    return {
        "calls_per_second": float(row["Inferences/Second"]),
        "latency_us": {"p50": float(row["p50 latency"]), "p99": float(row["p99 latency"])},
    }


def in_turns(measure, servers, clients):
    """Each server's rounds. Servers: by name, an address and a model."""
    rounds = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, (address, model) in servers.items():
            rounds[name].append(measure(address, model, clients))
    for name, reports in rounds.items():
        rate, p50, p99 = medians(reports)
        show(f"{clients} client(s), {name}: p50 {p50:.3f} ms, p99 {p99:.3f} ms", f"{rate:.0f} /s")
    return rounds


def added(rounds, name):
    """Microseconds that a server adds to the echo's median."""
    pairs = zip(rounds[name], rounds["bare gRPC"])
    return statistics.median(a["latency_us"]["p50"] - b["latency_us"]["p50"] for a, b in pairs)


def show_alone(rounds):
    """One client: what matters is the median latency."""
    over = added(rounds, "Tandem, echo")
    show("1 client, echo: added to p50", f"{over:.0f} µs", "at most 30", over <= 30)
    _, p50, _ = medians(rounds["Tandem, small"])
    show("1 client, small: p50", f"{p50:.3f} ms", "at most 0.13", p50 <= 0.13)
    if "Triton, small" in rounds:
        ratio = p50 / medians(rounds["Triton, small"])[1]
        show("1 client, small: p50 ÷ Triton's", f"{ratio:.3f}", "at most 0.3", ratio <= 0.3)


def show_many(rounds, clients, echo_limit, small_limit):
    for name, limit in (("Tandem, echo", echo_limit), ("Tandem, small", small_limit)):
        ratio = ratio_of_rates(rounds[name], rounds["bare gRPC"])
        show(f"{clients} clients: {name} ÷ bare", f"{ratio:.3f}", f"at least {limit}", ratio >= limit)
    if "Triton, small" in rounds:
        ratio = ratio_of_rates(rounds["Tandem, small"], rounds["Triton, small"])
        show(f"{clients} clients: Tandem, small ÷ Triton's", f"{ratio:.3f}", "at least 2.3", ratio >= 2.3)


def main():
    program, models, peers_models = sys.argv[1:]

    def measure(address, model, clients):
        return perf_analyzer(program, address, model, clients)

    with contextlib.ExitStack() as stack:
        bare = stack.enter_context(echo_server("--elements=64"))
        server = stack.enter_context(Server(models, worker=None, flags=pool(CORES)))
        servers = {
            "bare gRPC": (bare, "echo"),
            "Tandem, echo": (server.address, "echo"),
            "Tandem, small": (server.address, "small"),
        }
        work = stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-perf-analyzer-"))
        try:
            triton = Triton(peers_models, work)
        except RuntimeError as error:
            print(f"Without Triton: {error}")
        else:
            stack.enter_context(triton.running())
            servers["Triton, small"] = (f"127.0.0.1:{triton.port}", "small")
        show_alone(in_turns(measure, servers, 1))
        for clients, echo_limit, small_limit in ((16, 0.85, 0.80), (32, 0.95, 0.90)):
            show_many(in_turns(measure, servers, clients), clients, echo_limit, small_limit)
        batching = {name: (server.address, name) for name in ("small", "small_alone")}
        rounds = in_turns(measure, batching, 64)
        ratio = ratio_of_rates(rounds["small"], rounds["small_alone"])
        show("64 clients: with batching ÷ without", f"{ratio:.3f}", "at least 1.3", ratio >= 1.3)


if __name__ == "__main__":
    main()

"""What the benchmarks share: loads, bare loops, a bare echo, and lines that say whether a limit holds."""

import contextlib
import json
import os
import statistics
import subprocess
import time

from harness import build_path

ROUNDS = int(os.environ.get("TANDEM_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("TANDEM_BENCH_SECONDS", "4"))
MIB = 1 << 20
CORES = len(os.sched_getaffinity(0))


def show(what, value, limit="", holds=None):
    """One line. `holds`: whether the value keeps to its limit."""
    verdict = "" if holds is None else "  holds" if holds else "  MISSED"
    print(f"{what:<66} {value:>12}  {limit}{verdict}", flush=True)


def load_command(address, model, clients, seconds=None):
    """One closed loop of `tandem bench`."""
    return [
        build_path("tandem"),
        "bench",
        model,
        f"--target={address}",
        f"--concurrency={clients}",
        f"--seconds={seconds or SECONDS}",
        "--json",
    ]


def load(address, model, clients, seconds=None):
    """What such a loop tells of its one level."""
    command = load_command(address, model, clients, seconds)
    reply = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(reply)["levels"][0]


@contextlib.contextmanager
def beside(command, begins_within=0):
    """Runs a load meanwhile, from so many seconds before. It is an error if that ends first."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        time.sleep(begins_within)
        try:
            yield
            if process.poll() is not None:
                raise RuntimeError(f"ended while something was measured beside it: {command}")
        finally:
            process.terminate()


def medians(reports):
    """Calls a second, and the latencies' p50 and p99 in milliseconds."""
    rate = statistics.median(r["calls_per_second"] for r in reports)
    p50, p99 = (
        statistics.median(r["latency_us"][q] for r in reports) / 1e3 for q in ("p50", "p99")
    )
    return rate, p50, p99


def libtorch_loop(model, loops):
    """Calls a second of as many bare loops in one process, each with one row of resnet18's input and
    with the settings that are fastest."""
    command = [
        build_path("bench-libtorch-loop"),
        f"--model={model}",
        "--input-shape=1,3,224,224",
        "--optimize=inference",
        "--profiling=false",
        f"--loops={loops}",
        f"--seconds={SECONDS}",
    ]
    # What AOTInductor compiled asks for libtorch.so by its name.
    environment = {**os.environ, "LD_LIBRARY_PATH": build_path("lib")}
    reply = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout
    return json.loads(reply)["runs_per_second"]


@contextlib.contextmanager
def echo_server(*flags):
    """The bare echo; its address."""
    with subprocess.Popen(
        [build_path("bench-echo-server"), *flags], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield "127.0.0.1:" + process.stdout.readline().strip()
        finally:
            process.terminate()


def pool(lanes):
    """The flag of a pool of one worker with so many lanes."""
    return (f"--pool=cpu=device:cpu,lanes:{lanes},threads:1",)


def ratio_of_rates(reports, others):
    """The median of the rounds' ratios."""
    pairs = zip(reports, others)
    return statistics.median(a["calls_per_second"] / b["calls_per_second"] for a, b in pairs)

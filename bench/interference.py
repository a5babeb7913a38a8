"""Prints what two pools on cores of their own do to each other: rate and p99 of a net of resnet18's
size on one pool while the other is idle and while it is saturated, and the same of two bare loops,
which is what the machine itself takes (memory, caches, cores that are threads of one). Then how well the
router predicted the batches' times.

usage: interference.py FOLDER-OF-MODELS   (with TANDEM_BUILD_DIR)
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys

from harness import build_path
from harness.repository import Repository
from harness.server import Server

ROUNDS = int(os.environ.get("TANDEM_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("TANDEM_BENCH_SECONDS", "4"))
SHAPE = "1,3,224,224"
CORES = sorted(os.sched_getaffinity(0))[:2]
POOLS = (
    f"--pool=first=device:cpu,lanes:1,threads:1,cores:{CORES[0]}",
    f"--pool=second=device:cpu,serves:gpu,lanes:1,threads:1,cores:{CORES[-1]}",
)


def bare(model, core):
    return [
        "taskset", "--cpu-list", str(core), build_path("bench-libtorch-loop"), f"--model={model}",
        f"--input-shape={SHAPE}", "--optimize=inference", "--profiling=false", "--loops=1",
        f"--seconds={SECONDS}",
    ]


def client(address, model):
    return [
        build_path("tandem"), "bench", model, f"--target={address}", "--concurrency=2",
        f"--seconds={SECONDS}", "--json",
    ]


def measure(command, beside=None):
    """What the first command prints, while the other one runs."""
    with contextlib.ExitStack() as stack:
        if beside is not None:
            other = stack.enter_context(subprocess.Popen(beside, stdout=subprocess.DEVNULL))
            stack.callback(other.terminate)
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def served(command, beside=None):
    level = measure(command, beside)["levels"][0]
    return level["calls_per_second"], level["latency_us"]["p99"]


def show(what, value, limit, holds):
    print(f"{what:<66} {value:>8.3f}  {limit}  {'holds' if holds else 'MISSED'}", flush=True)


def main():
    model = os.path.join(sys.argv[1], "resnet18", "1", "model.pt")
    with open(os.path.join(sys.argv[1], "resnet18", "config.pbtxt"), encoding="utf-8") as file:
        text = file.read()
    with Repository() as repository:
        for name, kind in (("first", "KIND_CPU"), ("second", "KIND_GPU")):
            placed = text.replace("resnet18", name).replace("KIND_CPU", kind)
            repository.add(name, placed, files={"model.pt": model})
        with Server(repository.path, flags=POOLS, worker=None) as server:
            one, two = client(server.address, "first"), client(server.address, "second")
            rounds = {"rate": [], "p99": [], "bare": [], "ratio": []}
            for _ in range(ROUNDS):
                alone = measure(bare(model, CORES[0]))["runs_per_second"]
                both = measure(bare(model, CORES[0]), bare(model, CORES[-1]))["runs_per_second"]
                idle, busy = served(one), served(one, two)
                rounds["bare"].append(both / alone)
                rounds["rate"].append(busy[0] / idle[0])
                rounds["p99"].append(busy[1] / idle[1])
                rounds["ratio"].append(busy[0] / idle[0] / (both / alone))
                print(f"bare {alone:.1f} alone, {both:.1f} beside; served {idle[0]:.1f}/s, p99 "
                      f"{idle[1] / 1e3:.1f} ms alone, {busy[0]:.1f}/s, {busy[1] / 1e3:.1f} ms beside")
            status = subprocess.run(
                [build_path("tandem"), "status", f"--target={server.address}", "--json"],
                stdout=subprocess.PIPE, check=True,
            ).stdout
    middle = {what: statistics.median(values) for what, values in rounds.items()}
    print(f"{'two bare loops: rate of one beside the other ÷ alone':<66} {middle['bare']:>8.3f}")
    show("rate while the other pool is saturated ÷ idle", middle["rate"], "at least 0.95",
         middle["rate"] >= 0.95)
    show("  the same ÷ that of the bare loops", middle["ratio"], "at least 0.95",
         middle["ratio"] >= 0.95)
    show("p99 while the other pool is saturated ÷ idle", middle["p99"], "at most 1.05",
         middle["p99"] <= 1.05)
    for found in json.loads(status)["models"]:
        for cost in found.get("costs", []):
            error = cost["error_p99"] - 1
            show(f"predicted time, p99 of the relative error, {found['name']}", error,
                 "at most 0.20", error <= 0.2)


if __name__ == "__main__":
    main()

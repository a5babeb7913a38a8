"""Prints what two pools on cores of their own do to each other: rate and p99 of a model on one pool while the
other is idle and while it is saturated. For two models: a small transformer, whose requests are some
hundred bytes, and a net of resnet18's size, whose 602 kB each are carried by clients and front end on
the same cores. Beside them bare loops, which is what the machine itself takes (memory, caches, cores
that are threads of one). Then how well the router predicts the batches' times, on one pool alone.

usage: interference.py FOLDER-OF-MODELS   (with TANDEM_BUILD_DIR)
"""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys

from harness import build_path
from harness.repository import Repository
from harness.server import Server
from measure import ROUNDS, SECONDS, beside, load_command, show

CORES = sorted(os.sched_getaffinity(0))[:2]
POOLS = (
    f"--pool=first=device:cpu,lanes:1,express:0,threads:1,cores:{CORES[0]}",
    f"--pool=second=device:cpu,serves:gpu,lanes:1,express:0,threads:1,cores:{CORES[-1]}",
)
INPUTS = {
    "encoder": ("--input-shape=1,64", "--input-type=int64"),
    "resnet18": ("--input-shape=1,3,224,224",),
}


def on_core(core, command):
    return ["taskset", "--cpu-list", str(core), *command]


def bare(models, name, core, seconds=SECONDS):
    """A loop over the model."""
    model = os.path.join(models, name, "1", "model.pt")
    return on_core(core, [
        build_path("bench-libtorch-loop"), f"--model={model}", *INPUTS[name],
        "--optimize=inference", "--profiling=false", "--loops=1", f"--seconds={seconds}",
    ])


def measure(command, other=None):
    """What the first command prints, while the other one runs."""
    with beside(other) if other is not None else contextlib.nullcontext():
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def served(command, other=None):
    level = measure(command, other)["levels"][0]
    return level["calls_per_second"], level["latency_us"]["p99"]


def repository_of(models, name):
    """The model twice: as "first" for the one pool, as "second" for the other."""
    with open(os.path.join(models, name, "config.pbtxt"), encoding="utf-8") as file:
        text = file.read()
    repository = Repository()
    for copy, kind in (("first", "KIND_CPU"), ("second", "KIND_GPU")):
        repository.add(copy, text.replace("KIND_CPU", kind),
                       files={"model.pt": os.path.join(models, name, "1", "model.pt")})
    return repository


def machine(models, name):
    """The tail of a bare loop, and what two do to each other."""
    one = bare(models, name, CORES[0])
    two = bare(models, name, CORES[-1], 3 * SECONDS + 10)
    rates, tails, own_tails = [], [], []
    for _ in range(ROUNDS):
        alone = measure(one)
        own_tails.append(alone["latency_us"]["p99"] / alone["latency_us"]["p50"])
        both = measure(one, two)
        rates.append(both["runs_per_second"] / alone["runs_per_second"])
        tails.append(both["latency_us"]["p99"] / alone["latency_us"]["p99"])
    show(f"a bare loop of {name} alone: p99 ÷ p50", f"{statistics.median(own_tails):.3f}")
    show(f"two bare loops of {name}: rate of one beside the other ÷ alone",
         f"{statistics.median(rates):.3f}")
    show(f"two bare loops of {name}: p99 of one beside the other ÷ alone",
         f"{statistics.median(tails):.3f}")


def interference(models, name):
    with repository_of(models, name) as repository:
        with Server(repository.path, flags=POOLS, worker=None) as server:
            one = on_core(CORES[0], load_command(server.address, "first", 2))
            two = on_core(CORES[-1], load_command(server.address, "second", 2, 3 * SECONDS + 10))
            rates, tails, spent = [], [], []
            for _ in range(ROUNDS):
                idle = served(one)
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                busy = served(one, two)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                rates.append(busy[0] / idle[0])
                tails.append(busy[1] / idle[1])
                spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
                print(f"  {name}: {idle[0]:.1f}/s, p99 {idle[1] / 1e3:.1f} ms beside an idle pool, "
                      f"{busy[0]:.1f}/s, {busy[1] / 1e3:.1f} ms beside a saturated one", flush=True)
    rate, tail = statistics.median(rates), statistics.median(tails)
    show(f"{name}: CPU of both clients meanwhile", f"{statistics.median(spent):.2f} s")
    show(f"{name}: rate while the other pool is saturated ÷ idle", f"{rate:.3f}", "at least 0.95",
         rate >= 0.95)
    show(f"{name}: p99 while the other pool is saturated ÷ idle", f"{tail:.3f}", "at most 1.05",
         tail <= 1.05)


def prediction(models, name):
    with repository_of(models, name) as repository:
        with Server(repository.path, flags=POOLS, worker=None) as server:
            for _ in range(ROUNDS):
                served(load_command(server.address, "first", 1))
            status = subprocess.run(
                [build_path("tandem"), "status", f"--target={server.address}", "--json"],
                stdout=subprocess.PIPE, check=True,
            ).stdout
    for found in json.loads(status)["models"]:
        for cost in found.get("costs", []) if found["name"] == "first" else []:
            error = cost["error_p99"] - 1
            show(f"{name}: predicted time, p99 of the relative error", f"{error:.3f}",
                 "at most 0.20", error <= 0.2)


def main():
    models = sys.argv[1]
    for name in INPUTS:
        machine(models, name)
        interference(models, name)
    for name in INPUTS:
        prediction(models, name)


if __name__ == "__main__":
    main()

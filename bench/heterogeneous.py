"""Prints how two pools of unequal speed do together, live: over gRPC, driven by an open loop.

Both pools wait instead of computing (the synthetic platform), so their speeds are known and the
machine's own cores are free for server and client. What the pools can do together is the fluid
rate: the sum of each pool's best rate whose batch ends within the SLO.

usage: heterogeneous.py   (with TANDEM_BUILD_DIR)
"""

import contextlib
import json
import os
import subprocess

from harness import build_path
from harness.repository import Repository
from harness.server import Server

SECONDS = float(os.environ.get("TANDEM_BENCH_SECONDS", "3"))
RATIOS = (5, 10)
SLO_MS = 100
BATCH = 32
# A batch of the fast pool takes alpha + beta · rows.
ALPHA_MS, BETA_MS = 4.0, 0.25
POOLS = (
    "--pool=fast=device:cpu,serves:gpu,lanes:1,threads:1",
    "--pool=slow=device:cpu,lanes:1,threads:1",
)


def slow_times(ratio):
    """Alpha and beta of the slow pool, which gains little by batches, in milliseconds."""
    row = ratio * (ALPHA_MS + BETA_MS * BATCH) / BATCH
    return 0.1 * row, 0.9 * row


def best_rate(alpha, beta):
    times = {rows: alpha + beta * rows for rows in range(1, BATCH + 1)}
    return max(rows / time * 1e3 for rows, time in times.items() if time <= SLO_MS)


def fluid_rate(ratio):
    return best_rate(ALPHA_MS, BETA_MS) + best_rate(*slow_times(ratio))


def add_models(repository):
    for ratio in RATIOS:
        alpha, beta = slow_times(ratio)
        times = {
            "alpha_us": alpha * 1e3,
            "beta_us": beta * 1e3,
            "alpha_us@gpu": ALPHA_MS * 1e3,
            "beta_us@gpu": BETA_MS * 1e3,
        }
        for placement in ("auto", "gpu"):
            repository.synthetic(
                f"{placement}_{ratio}",
                max_batch_size=BATCH,
                kinds=["KIND_CPU", "KIND_GPU"],
                parameters={**times, "placement": placement},
                extra="dynamic_batching { }",
            )


def load(server, model, rate, slo=None):
    """An open loop of independent clients; with an SLO late answers are failures."""
    command = [
        build_path("tandem"),
        "bench",
        model,
        f"--target={server.address}",
        f"--rate={rate:.1f}",
        "--poisson",
        f"--seconds={SECONDS}",
        "--warm-up=0.5",
        "--json",
    ]
    if slo is not None:
        command.append(f"--slo={slo}")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return json.loads(done.stdout)["levels"][0]


def simulated(ratio, loads):
    """p99 by the simulator's policy and load."""
    alpha, beta = slow_times(ratio)
    scenario = {
        "slo_ms": SLO_MS,
        "max_batch_size": BATCH,
        "pools": [
            {"name": "fast", "kind": "gpu", "alpha_ms": ALPHA_MS, "beta_ms": BETA_MS},
            {"name": "slow", "alpha_ms": alpha, "beta_ms": beta},
        ],
        "loads": list(loads),
    }
    with Repository() as folder:
        folder.write("scenario.json", json.dumps(scenario).encode())
        file = os.path.join(folder.path, "scenario.json")
        command = [build_path("tandem"), "simulate", f"--scenario={file}", "--json"]
        text = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        ).stdout
    outcomes = json.loads(text)
    return {(o["policy"], o["load"]): o["p99_ms"] for o in outcomes}


def show_goodput(server, ratio):
    for share in (0.5, 0.9, 1.0, 1.5):
        rate = share * fluid_rate(ratio)
        level = load(server, f"auto_{ratio}", rate, SLO_MS)
        bound = min(rate, fluid_rate(ratio))
        part = level["within_slo_per_second"] / bound
        print(
            f"1:{ratio}, load {share:.2f}: {level['within_slo_per_second']:7.1f} answers/s "
            f"in time, fluid bound {bound:7.1f}: {part:.3f}  at least 0.85"
            f"  {'holds' if part >= 0.85 else 'MISSED'}",
            flush=True,
        )


def show_p99(server, ratio):
    loads = (0.05, 0.25, 0.5, 0.75, 0.95)
    reckoned = simulated(ratio, loads)
    for share in loads:
        rate = share * fluid_rate(ratio)
        auto, gpu = (
            load(server, f"{placement}_{ratio}", rate)["latency_us"]["p99"] / 1e3
            for placement in ("auto", "gpu")
        )
        # No server schedules so; what GPU only takes live beyond its simulation is added.
        first_idle = reckoned["first_idle", share] + gpu - reckoned["gpu_only", share]
        best = min(gpu, first_idle)
        print(
            f"1:{ratio}, load {share:.2f}: p99 of auto {auto:6.1f} ms, GPU only {gpu:7.1f} ms, "
            f"first idle (simulated) {first_idle:6.1f} ms: {auto / best:.2f}  at most 1.05"
            f"  {'holds' if auto <= 1.05 * best else 'MISSED'}",
            flush=True,
        )


def main():
    with contextlib.ExitStack() as stack:
        repository = stack.enter_context(Repository())
        add_models(repository)
        server = stack.enter_context(Server(repository.path, flags=POOLS))
        for ratio in RATIOS:
            show_goodput(server, ratio)
            show_p99(server, ratio)


if __name__ == "__main__":
    main()

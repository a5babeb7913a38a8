"""Prints what a server does with ten times the load that it can take: how much it still answers in time,
against the most that it answers at any load, and how soon it refuses the rest.

usage: overload.py   (with TANDEM_BUILD_DIR)
"""

import json
import os
import subprocess

from harness import build_path
from harness.processes import resident_bytes
from harness.repository import Repository
from harness.server import Server

SECONDS = float(os.environ.get("TANDEM_BENCH_SECONDS", "10"))
# A request waits 5 ms in the only lane, so that the cores are free for server and client.
ALPHA_US = 5000
CAPACITY = 1e6 / ALPHA_US
SLO_MS = 500
# They wait for half of that.
FLAGS = ("--pool=cpu=device:cpu,processes:1,lanes:1,threads:1", "--max-queue-length=50")


def load(server, share):
    command = [
        build_path("tandem"), "bench", "m", f"--target={server.address}",
        f"--rate={share * CAPACITY:.0f}", "--poisson", f"--slo={SLO_MS}", f"--seconds={SECONDS}",
        "--warm-up=1", "--json",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return json.loads(done.stdout)["levels"][0]


def main():
    with Repository() as repository:
        repository.synthetic("m", max_batch_size=0, parameters={"alpha_us": ALPHA_US})
        with Server(repository.path, flags=FLAGS) as server:
            goodput = {}
            for share in (0.5, 0.9, 1.0, 1.2, 2.0, 5.0, 10.0):
                level = load(server, share)
                goodput[share] = level["within_slo_per_second"]
                refused = level.get("refused", {"calls": 0, "p50_us": 0, "p99_us": 0})
                memory = resident_bytes(server.process.pid) / 2**20
                print(
                    f"load {share:4.1f}: {goodput[share]:6.1f} answers/s in time, {refused['calls']} "
                    f"refused, p50 {refused['p50_us'] / 1e3:.2f} ms, p99 "
                    f"{refused['p99_us'] / 1e3:.2f} ms; server {memory:.0f} MiB",
                    flush=True,
                )
    part, late = goodput[10.0] / max(goodput.values()), refused["p99_us"] / 1e3
    print(f"goodput at 10 times the capacity \u00f7 peak: {part:.3f}, at least 0.90: "
          f"{'holds' if part >= 0.9 else 'MISSED'}")
    print(f"refusals at 10 times the capacity, p99 at the client: {late:.2f} ms, at most 5: "
          f"{'holds' if late <= 5 else 'MISSED'}")


if __name__ == "__main__":
    main()

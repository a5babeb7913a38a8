"""Counts the instructions of the server's process for each request with callgrind, and where they
were spent. They hardly vary from run to run, so they show what a change costs; on CPUs of another
maker the libraries take other paths.

usage: instructions.py [REQUESTS]   (with TANDEM_BUILD_DIR)
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from harness import build_path
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_request, predict_request

POOL = ("--pool=cpu=device:cpu,lanes:1,threads:1",)
TIMEOUT = 120
SMALL = np.zeros((1, 4), np.float32)
LARGE = np.zeros((1, 150_000), np.float32)


def control(pid, *arguments):
    subprocess.run(["callgrind_control", *arguments, str(pid)], check=True, capture_output=True)


def instructions_by_object(path):
    """The instructions of each program and library in a file of callgrind."""
    names, costs, current, is_call = {}, {}, "?", False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            named = re.match(r"ob=\((\d+)\)(?: (.*))?", line)
            if named:
                if named[2]:
                    names[named[1]] = os.path.basename(named[2].strip())
                current = names.get(named[1], "?")
            elif line.startswith("cob="):
                named = re.match(r"cob=\((\d+)\) (.*)", line)
                if named:
                    names[named[1]] = os.path.basename(named[2].strip())
            elif line.startswith("calls="):
                # The next line's cost is the callee's.
                is_call = True
            elif re.match(r"[+\-*0-9]", line):
                if not is_call:
                    costs[current] = costs.get(current, 0) + int(line.split()[1])
                is_call = False
    return costs


def measure(server, prefix, requests, ask):
    """Instructions for each request, by program and library."""
    for _ in range(requests // 4 + 1):
        ask()
    before = set(os.listdir(os.path.dirname(prefix)))
    control(server.process.pid, "--zero")
    for _ in range(requests):
        ask()
    control(server.process.pid, "--dump")
    (made,) = set(os.listdir(os.path.dirname(prefix))) - before
    costs = instructions_by_object(os.path.join(os.path.dirname(prefix), made))
    return {name: cost / requests for name, cost in costs.items()}


def main():
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    if shutil.which("valgrind") is None:
        sys.exit("instructions: valgrind is not installed (apt-get install valgrind)")
    folder = tempfile.mkdtemp(prefix="tandem-callgrind-")
    prefix = os.path.join(folder, "out")
    with Repository() as repository:
        for name in ("first", "second"):
            repository.synthetic(
                name,
                inputs=(("INPUT0", "TYPE_FP32", [-1]),),
                outputs=(("OUTPUT0", "TYPE_FP32", [-1]),),
            )
        server = Server(repository.path, flags=POOL)
        # It is harmless in the workers, which are not counted.
        server.environment["LD_PRELOAD"] = build_path("tandem-pidfd-stand-in.so")
        # Instructions of the start are of no interest and would take minutes.
        server.command = [
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={prefix}",
            *server.command,
        ]
        with server:
            control(server.process.pid, "--instr=on")
            infer, predict = server.infer.ModelInfer, server.prediction.Predict
            small = infer_request("first", {"INPUT0": SMALL})
            large = infer_request("first", {"INPUT0": LARGE})
            both = predict_request({"INPUT0": SMALL}, cpu=["first", "second"])
            for what, ask in (
                ("ModelInfer, 16 B", lambda: infer(small, timeout=TIMEOUT)),
                ("ModelInfer, 600,000 B", lambda: infer(large, timeout=TIMEOUT)),
                ("Predict of 2 models, 16 B", lambda: predict(both, timeout=TIMEOUT)),
            ):
                costs = measure(server, prefix, requests, ask)
                print(f"{what:<28} {sum(costs.values()):>10,.0f} instructions", flush=True)
                for name, cost in sorted(costs.items(), key=lambda item: -item[1])[:8]:
                    print(f"    {name:<32} {cost:>10,.0f}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

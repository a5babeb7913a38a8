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


# What the metrics, and the merge of results, are: functions that none of the others calls.
SHARES = {
    "metrics": ("RequestMetrics::OnRequestDone", "RequestMetrics::OnBatchDone"),
    "merge": ("ResponseMerger::Add", "ResponseMerger::Take", "Combine("),
}


def read_profile(path):
    """Of a file of callgrind: the instructions of each program and library, and those of each function
    with all that it calls.
    """
    names, by_object, by_function = {}, {}, {}
    current, is_call = {"ob": "?", "fn": "?"}, False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            named = re.match(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?", line)
            if named:
                callee, kind, number, name = named.groups()
                if name:
                    names[kind, number] = name.strip()
                if not callee:
                    current[kind] = names[kind, number]
            elif line.startswith("calls="):
                # The next line's cost is the callee's.
                is_call = True
            elif re.match(r"[+\-*0-9]", line):
                cost = int(line.split()[1])
                if not is_call:
                    name = os.path.basename(current["ob"])
                    by_object[name] = by_object.get(name, 0) + cost
                by_function[current["fn"]] = by_function.get(current["fn"], 0) + cost
                is_call = False
    return by_object, by_function


def measure(server, prefix, requests, ask):
    """Instructions for each request: by program and library, and of SHARES."""
    for _ in range(requests // 4 + 1):
        ask()
    before = set(os.listdir(os.path.dirname(prefix)))
    control(server.process.pid, "--zero")
    for _ in range(requests):
        ask()
    control(server.process.pid, "--dump")
    (made,) = set(os.listdir(os.path.dirname(prefix))) - before
    by_object, by_function = read_profile(os.path.join(os.path.dirname(prefix), made))
    shares = {
        share: sum(
            cost for name, cost in by_function.items() if any(part in name for part in parts)
        )
        for share, parts in SHARES.items()
    }
    return tuple(
        {name: cost / requests for name, cost in costs.items()} for costs in (by_object, shares)
    )


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
                costs, shares = measure(server, prefix, requests, ask)
                total = sum(costs.values())
                print(f"{what:<28} {total:>10,.0f} instructions", flush=True)
                for name, cost in shares.items():
                    print(f"    {name:<32} {cost:>10,.0f}  {cost / total:.1%}", flush=True)
                for name, cost in sorted(costs.items(), key=lambda item: -item[1])[:8]:
                    print(f"    {name:<32} {cost:>10,.0f}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

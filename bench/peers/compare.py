"""Holds Tandem against other servers of models on this machine: rounds in turns, medians, a table, ratios
and a plot.

usage: compare.py MODELS [--rounds N] [--seconds S] [--only NAME,NAME] [--results FILE] [--write]
--only takes names, or how they begin, in any case.
--results adds what is measured to a file, and tells of all that the file holds: for rounds at several times.
A server that does not come up, answers wrongly or fails under load is left out of that round, and the exit
code is 1.
(with TANDEM_BUILD_DIR and TANDEM_CACHE; install.sh has installed the peers)
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile

import peers
import report
from harness import build_path


@contextlib.contextmanager
def bare_echo():
    """gRPC and Protobuf alone, answering with what came."""
    with subprocess.Popen(
        [build_path("bench-echo-server"), "--elements=64"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield "127.0.0.1:" + process.stdout.readline().strip()
        finally:
            process.terminate()


def measure_limits(models, seconds, results):
    """What gRPC, and what LibTorch, give alone."""
    echo, libtorch = (name for name, _ in report.LIMITS)
    with bare_echo() as address:
        for model, clients in report.ALONE[:2]:
            command = [build_path("tandem"), "bench", model, f"--target={address}", "--json"]
            command += [f"--concurrency={clients}", f"--seconds={seconds}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            results.setdefault((echo, model, clients), []).append(json.loads(done)["levels"][0])
    loop = build_path("bench-libtorch-loop")
    if os.path.exists(loop):
        command = [loop, "--model=" + os.path.join(models, "repository/resnet18/1/model.pt")]
        command += ["--input-shape=1,3,224,224", "--optimize=inference", "--profiling=false"]
        command += ["--loops=2", f"--seconds={seconds}"]
        done = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        told = {"calls_per_second": done["runs_per_second"], "latency_us": done["latency_us"]}
        results.setdefault((libtorch, "resnet18", 8), []).append(told)


def measure(server, seconds):
    """One round of a server: its footprint, and what was told of each level."""
    with server.running() as footprint:
        told = {
            (model, clients): server.load(model, clients, seconds)
            for model, clients in report.ALONE
        }
        told[report.SMALL_BESIDE], told[report.RESNET18_BESIDE] = server.load_both(
            ("small", 1), ("resnet18", 4), seconds
        )
        paced = server.load_both_paced("small", report.PACE, ("resnet18", 4), seconds)
        if paced is not None:
            told[report.SMALL_PACED], told[report.RESNET18_PACED] = paced
    for level, levels_report in told.items():
        title, failures = report.TITLES[level], levels_report.get("failures")
        if failures:
            raise RuntimeError(f"{failures} calls failed: {title}")
        print(f"  {server.name}: {title}: {report.cell([levels_report])}", flush=True)
    return footprint, told


def measure_or_tell(kind, models, work, seconds, results, footprints):
    """Adds one round of a server. Returns whether there is one to add."""
    try:
        footprint, told = measure(kind(models, work), seconds)
    except (RuntimeError, OSError, AssertionError, ValueError) as error:
        print(f"  {kind.name} is left out of this round: {error}", flush=True)
        return False
    footprints.setdefault(kind.name, []).append(footprint)
    for level, levels_report in told.items():
        results.setdefault((kind.name, *level), []).append(levels_report)
    return True


def read_results(path, results, footprints):
    """Adds what earlier calls have measured."""
    if not path or not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        saved = json.load(file)
    for server, model, clients, reports in saved["results"]:
        results[(server, model, clients)] = reports
    footprints.update(saved["footprints"])


def save_results(path, results, footprints):
    if not path:
        return
    saved = {
        "results": [[*key, reports] for key, reports in results.items()],
        "footprints": footprints,
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(saved, file)


def chosen(names):
    """The servers that --only names, all without it. Raises ValueError."""
    for name in names:
        if not any(kind.name.lower().startswith(name) for kind in peers.ALL):
            raise ValueError(f"there is no server {name!r}")
    return [kind for kind in peers.ALL if not names or kind.name.lower().startswith(tuple(names))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", type=lambda text: text.lower().split(","), default=[])
    parser.add_argument("--results", metavar="FILE")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    try:
        kinds = chosen(arguments.only)
    except ValueError as error:
        parser.error(str(error))
    # The servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    results, footprints, left_out = {}, {}, []
    read_results(arguments.results, results, footprints)
    for number in range(arguments.rounds):
        print(f"Round {number + 1} of {arguments.rounds}", flush=True)
        measure_limits(arguments.models, arguments.seconds, results)
        # Who comes first differs, so that a slow minute is not always the same one's.
        for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
            with tempfile.TemporaryDirectory(prefix="tandem-peers-") as work:
                if not measure_or_tell(
                    kind, arguments.models, work, arguments.seconds, results, footprints
                ):
                    left_out.append(f"{kind.name} in round {number + 1}")
        save_results(arguments.results, results, footprints)
    if footprints:
        servers = [kind for kind in peers.ALL if kind.name in footprints]
        ours = [kind.name for kind in peers.OURS]
        text = report.text(servers, ours, results, footprints, arguments.seconds)
        print("\n" + text)
        if arguments.write:
            report.write(text, report.plot(servers, results))
    if left_out:
        sys.exit("Left out: " + ", ".join(left_out))


if __name__ == "__main__":
    main()

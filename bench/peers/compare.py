"""Holds Tandem against other servers of models on this machine: rounds in turns, medians, a table and a
plot.

usage: compare.py MODELS [--rounds N] [--seconds S] [--only NAME,NAME] [--results FILE] [--write]
--results adds what is measured to a file, and tells of all that the file holds: for rounds at several times.
(with TANDEM_BUILD_DIR and TANDEM_CACHE; install.sh has installed the peers)
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import tempfile

import peers
from harness import build_path, source_path

LEVELS = (("small", 1), ("small", 16), ("resnet18", 8))
BEGIN, END = "<!-- peers: written by ./dev bench peers --write -->", "<!-- peers end -->"
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


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
    with bare_echo() as address:
        for model, clients in LEVELS[:2]:
            command = [build_path("tandem"), "bench", model, f"--target={address}", "--json"]
            command += [f"--concurrency={clients}", f"--seconds={seconds}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
            report = json.loads(done)["levels"][0]
            results.setdefault(("bare gRPC echo", model, clients), []).append(report)
    loop = build_path("bench-libtorch-loop")
    if os.path.exists(loop):
        command = [loop, "--model=" + os.path.join(models, "repository/resnet18/1/model.pt")]
        command += ["--input-shape=1,3,224,224", "--optimize=inference", "--profiling=false"]
        command += ["--loops=2", f"--seconds={seconds}"]
        done = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        report = {"calls_per_second": done["runs_per_second"], "latency_us": done["latency_us"]}
        results.setdefault(("bare LibTorch, 2 loops", "resnet18", 8), []).append(report)


def measure(peer, seconds, results, footprints):
    with peer.running() as footprint:
        footprints.setdefault(peer.name, []).append(footprint)
        for model, clients in LEVELS:
            report = peer.load(model, clients, seconds)
            if report.get("failures"):
                raise RuntimeError(f"{peer.name}: {report['failures']} calls of {model} failed")
            results.setdefault((peer.name, model, clients), []).append(report)
            rate = report["calls_per_second"]
            print(f"  {peer.name}, {model}, {clients} client(s): {rate:.0f}/s", flush=True)


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


def cell(results, key):
    reports = results.get(key)
    if not reports:
        return "–"
    rate = statistics.median(r["calls_per_second"] for r in reports)
    p50, p99 = (
        statistics.median(r["latency_us"][quantile] for r in reports) / 1e3
        for quantile in ("p50", "p99")
    )
    return f"{rate:,.0f}/s, {p50:.2f}, {p99:.2f}" if rate >= 10 else f"{rate:.1f}/s, {p50:.0f}, {p99:.0f}"


def table(servers, results, footprints):
    heads = [f"{model}, {clients} client(s)" for model, clients in LEVELS]
    lines = [
        "| server | client | " + " | ".join(heads) + " | ready, memory |",
        "|---" * (len(heads) + 3) + "|",
    ]
    limits = [("bare gRPC echo", "tandem bench"), ("bare LibTorch, 2 loops", "none")]
    for name, client in limits + [(peer.name, peer.client) for peer in servers]:
        cells = [cell(results, (name, model, clients)) for model, clients in LEVELS]
        ready = "–"
        if name in footprints:
            seconds, memory = (statistics.median(values) for values in zip(*footprints[name]))
            ready = f"{seconds:.1f} s, {memory / (1 << 20):.0f} MiB"
        lines.append("| " + " | ".join([name, client, *cells, ready]) + " |")
    return "\n".join(lines)


def plot(servers, results):
    """Bars of calls a second for each level, as SVG."""
    width, bar, left = 760, 20, 150
    parts, top = [], 10
    for model, clients in LEVELS:
        rates = [
            (peer.name, statistics.median(r["calls_per_second"] for r in reports))
            for peer in servers
            if (reports := results.get((peer.name, model, clients)))
        ]
        most = max(rate for _, rate in rates)
        parts.append(f'<text x="4" y="{top + 14}" font-weight="bold">{model}, {clients} client(s),'
                     " calls a second</text>")
        top += 24
        for index, (name, rate) in enumerate(rates):
            length = max(1, round((width - left - 90) * rate / most))
            colour = COLOURS[index % len(COLOURS)]
            parts.append(
                f'<text x="{left - 8}" y="{top + 15}" text-anchor="end">{name}</text>'
                f'<rect x="{left}" y="{top}" width="{length}" height="{bar - 4}" fill="{colour}"/>'
                f'<text x="{left + length + 6}" y="{top + 13}">{rate:,.0f}</text>'
            )
            top += bar
        top += 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}"'
        ' font-family="sans-serif" font-size="13">\n<rect width="100%" height="100%"'
        ' fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {names[0] if names else platform.machine()}"


def versions():
    folder = source_path("bench/peers/versions")
    pins = []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".in"):
            with open(os.path.join(folder, name), encoding="ascii") as file:
                pins += [line.strip() for line in file if "==" in line]
    return ", ".join(pin.replace("==", " ") for pin in pins)


def write(text, svg):
    path = source_path("docs/performance.md")
    with open(path, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    after = rest.partition(END)[2]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
    os.makedirs(source_path("docs/performance"), exist_ok=True)
    with open(source_path("docs/performance/peers.svg"), "w", encoding="utf-8") as file:
        file.write(svg)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", type=lambda text: text.lower().split(","), default=[])
    parser.add_argument("--results", metavar="FILE")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    results, footprints = {}, {}
    read_results(arguments.results, results, footprints)
    with tempfile.TemporaryDirectory(prefix="tandem-peers-") as work:
        servers = [
            peer(arguments.models, work)
            for peer in peers.ALL
            if not arguments.only or peer.name.lower() in arguments.only
        ]
        for number in range(arguments.rounds):
            print(f"Round {number + 1} of {arguments.rounds}", flush=True)
            measure_limits(arguments.models, arguments.seconds, results)
            # Who comes first differs, so that a slow minute is not always the same one's.
            for peer in servers[number % len(servers) :] + servers[: number % len(servers)]:
                measure(peer, arguments.seconds, results, footprints)
            save_results(arguments.results, results, footprints)
    servers = [peer for peer in peers.ALL if peer.name in footprints]
    rounds = max(len(values) for values in footprints.values())
    settings = "\n".join(f"- {peer.name}: {peer.settings}." for peer in servers)
    text = (
        f"Medians of {rounds} rounds of {arguments.seconds:g} s on {machine()}, the client on the"
        f" same cores. A cell: calls a second, p50 and p99 in milliseconds. Peers: {versions()}.\n\n"
        f"{table(servers, results, footprints)}\n\n{settings}\n\n"
        "![calls a second of each server](performance/peers.svg)"
    )
    print("\n" + text)
    if arguments.write:
        write(text, plot(servers, results))


if __name__ == "__main__":
    main()

"""What compare.py tells of its results: a table, ratios and a plot."""

import os
import platform
import statistics

from harness import source_path

# What is measured of each server: a model and the clients that call it without pause.
ALONE = (("small", 1), ("small", 16), ("resnet18", 8))
# The last two at the same time.
SMALL_BESIDE, RESNET18_BESIDE = ("small beside resnet18", 1), ("resnet18 beside small", 4)
# The same where the small one is called so many times a second, so that no server has more of that work than another.
PACE = 300
SMALL_PACED, RESNET18_PACED = ("paced small beside resnet18", 1), ("resnet18 beside paced small", 4)
LEVELS = (*ALONE, SMALL_BESIDE, RESNET18_BESIDE, SMALL_PACED, RESNET18_PACED)
# Where the rate is the server's doing.
RATED = tuple(level for level in LEVELS if level != SMALL_PACED)
TITLES = {
    ("small", 1): "small, 1 client",
    ("small", 16): "small, 16 clients",
    ("resnet18", 8): "resnet18, 8 clients",
    SMALL_BESIDE: "small, 1 client, beside resnet18",
    RESNET18_BESIDE: "resnet18, 4 clients, meanwhile",
    SMALL_PACED: f"small, {PACE} calls a second, beside resnet18",
    RESNET18_PACED: f"resnet18, 4 clients, beside {PACE} small calls a second",
}
# What bounds a server: a name, and its client.
LIMITS = (("bare gRPC echo", "tandem bench"), ("bare LibTorch, 2 loops", "none"))
BEGIN, END = "<!-- peers: written by ./dev bench peers --write -->", "<!-- peers end -->"
COLOURS = (
    "#D55E00",
    "#0072B2",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#999999",
    "#000000",
    "#A6761D",
    "#F0E442",
    "#882255",
)


def rate(reports):
    return statistics.median(report["calls_per_second"] for report in reports)


def latency_ms(reports, quantile):
    return statistics.median(report["latency_us"][quantile] for report in reports) / 1e3


def cell(reports):
    if not reports:
        return "–"
    calls, p50, p99 = rate(reports), latency_ms(reports, "p50"), latency_ms(reports, "p99")
    if calls >= 10:
        return f"{calls:,.0f}/s, {p50:.2f}, {p99:.2f}"
    return f"{calls:.1f}/s, {p50:.0f}, {p99:.0f}"


def table(servers, results, footprints):
    heads = ["server", "client", *(TITLES[level] for level in LEVELS), "ready, memory"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, client in (*LIMITS, *((server.name, server.client) for server in servers)):
        cells = [cell(results.get((name, *level))) for level in LEVELS]
        ready = "–"
        if name in footprints:
            seconds, memory = (statistics.median(values) for values in zip(*footprints[name]))
            ready = f"{seconds:.1f} s, {memory / (1 << 20):.0f} MiB"
        lines.append("| " + " | ".join([name, client, *cells, ready]) + " |")
    return "\n".join(lines)


def ratios(servers, ours, results):
    """Each of ours (names) against Triton, and against the best of the others at each level."""

    def measured(level, figure):
        """Figures of all servers that have one, by name."""
        found = {server.name: results.get((server.name, *level)) for server in servers}
        return {name: figure(reports) for name, reports in found.items() if reports}

    def p99(reports):
        return latency_ms(reports, "p99")

    # Of latencies the least is the best.
    figures = [(TITLES[level], measured(level, rate), max) for level in RATED]
    for level in (SMALL_BESIDE, SMALL_PACED):
        figures.append((f"p99 of {TITLES[level]}", measured(level, p99), min))
    clients = {server.name: server.client for server in servers}
    lines = []
    for own in ours:
        to_triton, to_best = [], []
        for title, values, best in figures:
            others = {name: value for name, value in values.items() if name not in ours}
            if own not in values or not others:
                continue
            if "Triton" in others:
                to_triton.append(f"{title} {values[own] / others['Triton']:.2f}")
            name = best(others, key=others.get)
            to_best.append(f"{title} {values[own] / others[name]:.2f} ({name}, {clients[name]})")
        for head, parts in (("Triton", to_triton), ("the best other server", to_best)):
            if parts:
                lines.append(
                    f"{own} ÷ {head} (calls a second; of the p99, less is better):"
                    f" {'; '.join(parts)}."
                )
    return "\n\n".join(lines)


def plot(servers, results):
    """Bars of calls a second for each level, as SVG."""
    width, bar, left = 760, 20, 150
    parts, top = [], 10
    for level in RATED:
        rates = [
            (server.name, rate(reports))
            for server in servers
            if (reports := results.get((server.name, *level)))
        ]
        if not rates:
            continue
        most = max(calls for _, calls in rates)
        parts.append(
            f'<text x="4" y="{top + 14}" font-weight="bold">{TITLES[level]}, calls a second</text>'
        )
        top += 24
        for index, (name, calls) in enumerate(rates):
            length = max(1, round((width - left - 90) * calls / most))
            colour = COLOURS[index % len(COLOURS)]
            parts.append(
                f'<text x="{left - 8}" y="{top + 15}" text-anchor="end">{name}</text>'
                f'<rect x="{left}" y="{top}" width="{length}" height="{bar - 4}" fill="{colour}"/>'
                f'<text x="{left + length + 6}" y="{top + 13}">{calls:,.0f}</text>'
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


def text(servers, ours, results, footprints, seconds):
    counts = {name: len(values) for name, values in footprints.items()}
    rounds = max(counts.values())
    fewer = ", ".join(f"{name}: {count}" for name, count in counts.items() if count < rounds)
    settings = "\n".join(f"- {server.name}: {server.settings}." for server in servers)
    return (
        f"Medians of {rounds} rounds{f' ({fewer})' if fewer else ''} of {seconds:g} s on"
        f" {machine()}, the client on the same cores. A cell: calls a second, p50 and p99 in"
        f" milliseconds. Peers: {versions()}.\n\n"
        f"{table(servers, results, footprints)}\n\n{ratios(servers, ours, results)}\n\n{settings}\n\n"
        "![calls a second of each server](performance/peers.svg)"
    )


def write(content, svg):
    """Puts both into the documents."""
    path = source_path("docs/performance.md")
    with open(path, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    after = rest.partition(END)[2]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{content}\n{END}{after}")
    os.makedirs(source_path("docs/performance"), exist_ok=True)
    with open(source_path("docs/performance/peers.svg"), "w", encoding="utf-8") as file:
        file.write(svg)

#!/usr/bin/env python3
"""Checks which folder includes what: the table below is the architecture's, and CI holds to it.

usage: check_includes.py [ROOT]
"""

import pathlib
import re
import sys

# Folder -> (folders of the project, libraries from outside) that its sources may include. The
# longest folder that matches counts. The standard library and the system are open to all.
TABLE = {
    "core": ((), ("absl",)),
    "backends/ipc": (("core",), ("absl", "protobuf", "worker.pb.h")),
    "backends/pool": (("core", "backends/ipc"), ("absl", "protobuf", "worker.pb.h")),
    "backends/worker": (("core", "backends/ipc"), ("absl", "protobuf", "worker.pb.h")),
    "router": (("core",), ("absl",)),
    "simulation": (("core", "router"), ("absl", "cli", "json")),
    "server": (
        ("core", "router"),
        ("absl", "protobuf", "grpc", "public.pb.h", "prometheus", "spdlog", "httplib", "cli", "json"),
    ),
    "client": (
        ("core",),
        ("absl", "protobuf", "grpc", "public.pb.h", "cli", "json", "arrays"),
    ),
    "examples": (("client", "core"), ("absl", "protobuf", "grpc", "public.pb.h")),
    "bench": (("core", "router", "simulation", "server", "client", "backends", "tests", "bench"), ("*",)),
    "tests": (("core", "router", "simulation", "server", "client", "backends", "tests", "bench"), ("*",)),
}

# Sources that may include more than their folder: the composition roots, which wire all together.
ALSO = {
    "server/main.cc": (("backends/pool", "client", "simulation"), ()),
    "server/pool_setup.cc": (("backends/pool",), ()),
    "server/pool_setup.h": (("backends/pool",), ()),
    "server/server_process.cc": (("backends/pool",), ()),
    "backends/worker/main.cc": ((), ("spdlog",)),
}

# LibTorch's include folder shadows protobuf and fmt: its headers stand in sources of these names
# only, and they see none of the libraries it shadows.
TORCH_SOURCE = re.compile(r"((backends/worker|tests/worker)/torch|bench/libtorch)_\w+\.(h|cc)")
SHADOWED_BY_TORCH = {"protobuf", "grpc", "worker.pb.h", "public.pb.h", "spdlog"}

LIBRARIES = (
    ("absl", re.compile(r"absl/")),
    ("grpc", re.compile(r"grpcpp/|grpc/|.*\.grpc\.pb\.h$")),
    ("worker.pb.h", re.compile(r"worker\.pb\.h$")),
    ("public.pb.h", re.compile(r"\w+\.pb\.h$")),
    ("protobuf", re.compile(r"google/protobuf/")),
    ("torch", re.compile(r"(torch|ATen|c10|caffe2)/|cuda.*\.h$")),
    ("prometheus", re.compile(r"prometheus/")),
    ("spdlog", re.compile(r"spdlog/|fmt/")),
    ("cli", re.compile(r"CLI/")),
    ("json", re.compile(r"nlohmann/")),
    ("httplib", re.compile(r"httplib\.h$")),
    ("arrays", re.compile(r"xtensor|xtl/|zip\.h$|stb")),
    ("testing", re.compile(r"catch2/|rapidcheck|benchmark/")),
)
PROJECT_FOLDERS = (
    "core", "router", "simulation", "server", "client", "backends", "tests", "bench", "examples",
)
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def library_of(header):
    return next((name for name, pattern in LIBRARIES if pattern.match(header)), None)


def is_within(path, folders):
    return any(path.startswith(folder + "/") for folder in folders)


def problem(source, quote, header):
    """What is wrong with `source` including `header`, or None."""
    folder = max((name for name in TABLE if is_within(source, [name])), key=len)
    own, libraries = TABLE[folder]
    more_own, more_libraries = ALSO.get(source, ((), ()))
    allowed = (*libraries, *more_libraries)
    if is_within(header, PROJECT_FOLDERS):
        if quote == "<":
            return f"names {header} in angle brackets; the project's own headers stand in quotes"
        return None if is_within(header, (folder, *own, *more_own)) else f"may not include {header}"
    library = library_of(header)
    if library == "torch":
        return None if TORCH_SOURCE.fullmatch(source) else f"includes LibTorch's {header}"
    if TORCH_SOURCE.fullmatch(source) and library in SHADOWED_BY_TORCH:
        return f"includes {header}, which LibTorch's include folder shadows"
    if library is None and quote == '"':
        return f"includes {header}, which is not given by its path from the top"
    return None if library is None or "*" in allowed or library in allowed else f"may not include {header}"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    sources = sorted(
        path
        for folder in TABLE
        for path in (root / folder).rglob("*")
        if path.suffix in (".h", ".cc")
    )
    problems = []
    for path in sources:
        source = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and (text := problem(source, *match.groups())):
                problems.append(f"{source}:{number}: {text}")
    print("\n".join(problems) or f"check_includes: {len(sources)} sources keep to the table")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()

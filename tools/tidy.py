#!/usr/bin/env python3
"""Runs clang-tidy over the project's sources, as build/compile_commands.json compiles them.

A unit that was found clean is remembered by a hash of its sources, the project's headers that they
include and the settings, and is not looked at again until one of them changes.

usage: tidy.py CLANG_TIDY BUILD_DIR CACHE_DIR [FILE...]      default: every source outside tests and bench
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("core/", "router/", "simulation/", "server/", "client/", "backends/", "examples/")


def units_with_sources(build):
    """(Unit, compile command) -> the project's sources in it; a unit is one source, or a file that includes many."""
    result = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        unit = pathlib.Path(entry["file"])
        paths = [unit]
        if unit.is_relative_to(build) and unit.parent.name == "Unity":
            paths = [pathlib.Path(path) for path in re.findall(r'^#include "(.+)"$', unit.read_text(), re.MULTILINE)]
        names = [path.relative_to(ROOT).as_posix() for path in paths
                 if path.is_relative_to(ROOT) and not path.is_relative_to(build)]
        if names:
            result[unit, entry["command"]] = names
    return result


def files_of_objects(build):
    """Object -> the project's files that it was last compiled from, as Ninja remembers them."""
    lines = subprocess.run(
        ["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    result, files = {}, []
    for line in lines:
        if line.startswith(" "):
            path = pathlib.Path(os.path.normpath(build / line.strip()))
            # Without what is generated: it has the checkout's place in it.
            if path.is_relative_to(ROOT) and not path.is_relative_to(build):
                files.append(path)
        else:
            files = result.setdefault(line.split(":")[0], [])
    return result


def fingerprint(command, files, version):
    # Without the checkout's place: what was found clean in one is clean in another.
    digest = hashlib.sha256((command.replace(str(ROOT), "") + version).encode())
    for path in [ROOT / ".clang-tidy", *sorted(set(files))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main():
    clang_tidy, build, cache = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3])
    only = set(sys.argv[4:])
    cache.mkdir(parents=True, exist_ok=True)
    files = files_of_objects(build)
    version = subprocess.run([clang_tidy, "--version"], capture_output=True, text=True).stdout

    def wanted(sources):
        return not only.isdisjoint(sources) if only else any(name.startswith(FOLDERS) for name in sources)

    def check(unit):
        (path, command), sources = unit
        output = command.split(" -o ")[1].split()[0]
        stamp = cache / fingerprint(command, files.get(output, [ROOT / name for name in sources]), version)
        if stamp.exists():
            return True
        run = subprocess.run(
            [clang_tidy, "--quiet", "-p", str(build), "--extra-arg=-Wno-unknown-warning-option",
             "--extra-arg=-Wno-everything", str(path)],
            capture_output=True, text=True,
        )
        if run.returncode == 0:
            stamp.touch()
        else:
            print(f"{run.stdout}{run.stderr}", flush=True)
        return run.returncode == 0

    units = [unit for unit in units_with_sources(build).items() if wanted(unit[1])]
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("TANDEM_JOBS", 2))) as pool:
        # The large ones first, so that none of them is waited for alone at the end.
        clean = list(pool.map(check, sorted(units, key=lambda unit: -len(unit[1]))))
    print(f"tidy: {sum(clean)} of {len(clean)} units are clean, {sum(len(sources) for _, sources in units)} sources")
    sys.exit(not all(clean))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs clang-tidy over the project's sources, as build/compile_commands.json compiles them.

A source that was found clean is remembered by a hash of itself, the project's headers that it
includes and the settings, and is not looked at again until one of them changes.

usage: tidy.py CLANG_TIDY BUILD_DIR CACHE_DIR [FILE...]      default: every source outside tests and bench
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("core", "router", "server", "client", "backends", "examples")


def sources_with_commands(build, only):
    """Source -> compile command, for the sources to look at."""
    result = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        if not path.is_relative_to(ROOT) or path.is_relative_to(build):
            continue
        name = path.relative_to(ROOT).as_posix()
        if name in only or (not only and name.startswith(tuple(f"{f}/" for f in FOLDERS))):
            result[name] = entry["command"]
    return result


def headers_of_sources(build):
    """Source -> the project's files that it was last compiled from, as Ninja remembers them."""
    lines = subprocess.run(
        ["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    result, files = {}, []
    for line in [*lines, ""]:
        if line.startswith("    "):
            path = pathlib.Path(os.path.normpath(build / line.strip()))
            if path.is_relative_to(ROOT):
                files.append(path)
        elif files:
            result[files[0].relative_to(ROOT).as_posix()] = files
            files = []
        if line and not line.startswith(" "):
            files = []
    return result


def fingerprint(command, files, version):
    # Without the checkout's place: what was found clean in one is clean in another.
    digest = hashlib.sha256((command.replace(str(ROOT), "") + version).encode())
    for path in [ROOT / ".clang-tidy", *sorted(set(files))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main():
    clang_tidy, build, cache = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3])
    cache.mkdir(parents=True, exist_ok=True)
    commands = sources_with_commands(build, set(sys.argv[4:]))
    headers = headers_of_sources(build)
    version = subprocess.run([clang_tidy, "--version"], capture_output=True, text=True).stdout

    def check(name):
        stamp = cache / fingerprint(commands[name], headers.get(name, [ROOT / name]), version)
        if stamp.exists():
            return True
        run = subprocess.run(
            [clang_tidy, "--quiet", "-p", str(build), "--extra-arg=-Wno-unknown-warning-option",
             "--extra-arg=-Wno-everything", str(ROOT / name)],
            capture_output=True, text=True,
        )
        if run.returncode == 0:
            stamp.touch()
        else:
            print(f"{run.stdout}{run.stderr}", flush=True)
        return run.returncode == 0

    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("TANDEM_JOBS", 2))) as pool:
        clean = list(pool.map(check, sorted(commands)))
    print(f"tidy: {sum(clean)} of {len(clean)} sources are clean")
    sys.exit(not all(clean))


if __name__ == "__main__":
    main()

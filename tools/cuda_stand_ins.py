#!/usr/bin/env python3
"""Makes stand-ins for the CUDA libraries that a machine without an NVIDIA driver does not need.

The CUDA build of LibTorch names cuBLAS, cuDNN, NCCL and others as needed, 1.8 GB in all. Without a
GPU none of their functions is ever called, but the loader wants the files, their versions and their
symbols. This writes libraries of a few kilobytes with just those, beside the real libcudart, so that
`import torch` works and tandem-worker-cuda starts and sees no device. A function that is called all
the same ends the program with a message.

usage: cuda_stand_ins.py TORCH_DIR      (the `torch` package; needs gcc and readelf)
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

CUDA_LIBRARY = re.compile(r"lib(cu|nccl|nv)")
CUDA_SYMBOL = re.compile(r"(cu|nccl|nv)")
# The driver's own library: LibTorch opens it at run time, and its absence means "no GPU".
DRIVER = "libcuda.so.1"


def readelf(*arguments):
    return subprocess.run(
        ["readelf", "--wide", *arguments], capture_output=True, text=True, check=True
    ).stdout


def needed_libraries(path):
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("--dynamic", path)))


def libraries_of_versions(path):
    """Symbol version -> soname of the library that is to define it."""
    result, soname = {}, None
    for line in readelf("--version-info", path).splitlines():
        if match := re.search(r"File: (\S+)", line):
            soname = match.group(1)
        elif soname and (match := re.search(r"Name: (\S+)\s+Flags:.*Version:", line)):
            result[match.group(1)] = soname
    return result


def symbols(path):
    """Yields (name, version or "", is defined) of each dynamic symbol that the loader insists on."""
    for line in readelf("--dyn-syms", path).splitlines():
        fields = line.split()
        if len(fields) < 8 or not fields[0].rstrip(":").isdigit():
            continue
        binding, section, name = fields[4], fields[6], fields[7]
        if section != "UND" or binding != "WEAK":
            base, _, version = name.partition("@")
            yield base, version.lstrip("@"), section != "UND"


def missing_symbols(users, present):
    """Soname -> {(symbol, version)}; unversioned ones stand under ""."""
    defined, wanted = set(), collections.defaultdict(set)
    for path in present:
        defined |= {name for name, _, is_defined in symbols(path) if is_defined}
    for path in users:
        versions = libraries_of_versions(path)
        for name, version, is_defined in symbols(path):
            if not is_defined:
                wanted[versions.get(version, "")].add((name, version))
    wanted[""] = {
        (name, version)
        for name, version in wanted[""]
        if CUDA_SYMBOL.match(name) and name not in defined
    }
    return wanted


def compile_stand_in(soname, wanted, target):
    """Writes the shared library `target`, which defines every (symbol, version) of `wanted`."""
    names = sorted({name for name, _ in wanted})
    source = "#include <stdio.h>\n#include <stdlib.h>\n" + "".join(
        f'void {name}(void) {{ fputs("CUDA stand-in: {name} was called\\n", stderr); abort(); }}\n'
        for name in names
    )
    by_version = collections.defaultdict(list)
    for name, version in sorted(wanted):
        if version:
            by_version[version].append(name)
    script = "".join(
        f"{version} {{ global: {'; '.join(members)}; }};\n" for version, members in by_version.items()
    )
    with tempfile.TemporaryDirectory() as folder:
        source_file = pathlib.Path(folder, "stand_in.c")
        script_file = pathlib.Path(folder, "versions.map")
        source_file.write_text(source)
        script_file.write_text(script)
        command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{soname}"]
        if by_version:
            command.append(f"-Wl,--version-script,{script_file}")
        subprocess.run([*command, "-o", str(target), str(source_file)], check=True)


def main():
    torch_dir = pathlib.Path(sys.argv[1])
    users = sorted(torch_dir.glob("lib/*.so"))
    real = sorted(torch_dir.parent.glob("nvidia/*/lib/*.so*"))
    target_dir = torch_dir.parent / "nvidia" / "cu13" / "lib"
    if not users or not target_dir.is_dir():
        sys.exit(f"cuda_stand_ins: {torch_dir} holds no CUDA build of LibTorch with its small wheels")
    needed = set().union(*map(needed_libraries, users))
    present = {path.name for path in [*users, *real]} | {DRIVER}
    absent = sorted(name for name in needed if CUDA_LIBRARY.match(name) and name not in present)
    if not absent:
        return
    missing = missing_symbols(users, [*users, *real])
    for soname in absent:
        wanted = missing[soname]
        # The loader looks an unversioned symbol up in all libraries: any one may hold it.
        if soname == absent[0]:
            wanted = wanted | missing[""]
        compile_stand_in(soname, wanted, target_dir / soname)
    print(f"{len(absent)} stand-ins in place of CUDA libraries: {', '.join(absent)}")


if __name__ == "__main__":
    main()

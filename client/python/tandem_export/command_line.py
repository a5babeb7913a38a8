"""Compiles a PyTorch model for Tandem:

    tandem export SOURCE MODEL_FOLDER --input x=FP32[3,224,224]

It is the same as `python -m tandem_export`, with the Python that TANDEM_PYTHON names, or python3.

SOURCE is PACKAGE.MODULE:NAME or FILE.py:NAME, where NAME is a torch.nn.Module or a function that
makes one, or a .pt2 file that torch.export.save wrote. MODEL_FOLDER becomes a model of a repository:
a version with model.pt2 (any batch size up to --max-batch-size), model.b1.pt2, … (one for each of
--batch-sizes, faster) and a config.pbtxt, where there is none yet. What was compiled is run and held
against the model itself.

It needs the torch whose minor version the server's workers have, and a C++ compiler.
"""

# Torch is imported late: --help and most refusals need none.

import argparse
import math
import os
import sys

from tandem_export.model_config import MOST_DIMENSIONS, Input, Refused, check_name

# What the server takes (server/model_config_file.cc, server/pool_spec.cc).
LARGEST_BATCH = 1 << 20
LARGEST_VERSION = (1 << 63) - 1
# And the worker (kMaxDescriptors in backends/ipc/control_channel.h), model.pt2 among them.
MOST_PACKAGES = 32
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


class Parser(argparse.ArgumentParser):
    """Tells what is wrong in one line, without the usage before it."""

    def error(self, message):
        raise Refused(f"{message}; tandem export --help tells what it takes")


def batch_sizes(text):
    """N,N as a list."""
    try:
        return [int(size) for size in text.split(",") if size]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers as in 1,4, got {text!r}") from None


def parser():
    """Of the command line."""
    made = Parser(
        prog="tandem export" if sys.argv[0] == "-c" else "tandem_export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("source", metavar="SOURCE")
    made.add_argument("folder", metavar="MODEL_FOLDER")
    made.add_argument(
        "--input",
        action="append",
        required=True,
        metavar="NAME=TYPE[D1,D2]",
        help="each tensor that the model takes, in order, without the batch dimension",
    )
    made.add_argument(
        "--outputs",
        type=lambda text: text.split(","),
        metavar="NAME,NAME",
        help="names of what it returns (OUTPUT__0, …)",
    )
    made.add_argument(
        "--max-batch-size", type=int, default=8, metavar="N", help="0: no batch dimension (8)"
    )
    made.add_argument(
        "--batch-sizes",
        type=batch_sizes,
        default=[1],
        metavar="N,N",
        help="sizes with a package of their own (1)",
    )
    made.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    made.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    made.add_argument(
        "--winograd",
        action="store_true",
        help="do convolutions of 3x3 with fewer multiplications where that is faster on this CPU",
    )
    made.add_argument("--tolerance", type=float, help="largest difference (1e-4; 5e-2 for bf16)")
    made.add_argument("--model-version", dest="version", type=int, default=1, metavar="N")
    made.add_argument(
        "--replace-config",
        action="store_true",
        help="write config.pbtxt anew where there is one, instead of keeping it",
    )
    return made


def check_numbers(arguments):
    """Refuses what the server would not serve."""
    if not 0 <= arguments.max_batch_size <= LARGEST_BATCH:
        raise Refused(
            f"--max-batch-size {arguments.max_batch_size}: expected a number from 0 to {LARGEST_BATCH}"
        )
    for size in arguments.batch_sizes:
        if not 0 < size <= max(arguments.max_batch_size, 1):
            raise Refused(f"--batch-sizes {size}: expected 1 to --max-batch-size")
    if len(set(arguments.batch_sizes)) >= MOST_PACKAGES:
        raise Refused(
            f"--batch-sizes names {len(set(arguments.batch_sizes))} sizes: expected up to"
            f" {MOST_PACKAGES - 1}"
        )
    if arguments.max_batch_size == 1 and not arguments.batch_sizes:
        raise Refused("--batch-sizes names none: with --max-batch-size 1 expected 1")
    if not 1 <= arguments.version <= LARGEST_VERSION:
        raise Refused(f"--model-version {arguments.version}: expected a number of 1 or more")
    if arguments.winograd and arguments.device == "cuda":
        raise Refused("--winograd: expected --device cpu; on a GPU cuDNN chooses such ways itself")
    tolerance = arguments.tolerance
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
        raise Refused(f"--tolerance {tolerance}: expected a number of 0 or more")


def check_inputs(arguments):
    """The inputs that --input names."""
    inputs = [Input(text) for text in arguments.input]
    most = MOST_DIMENSIONS - (arguments.max_batch_size > 0)
    seen = set()
    for one in inputs:
        check_name("--input", one.name)
        if one.name in seen:
            raise Refused(f"--input {one.name} is given twice: each input has a name of its own")
        seen.add(one.name)
        if 0 in one.dims:
            raise Refused(f"--input {one.name}: expected dimensions of 1 or more, got 0")
        if len(one.dims) > most:
            raise Refused(
                f"--input {one.name} has {len(one.dims)} dimensions: the server takes up to {most}"
            )
    return inputs


def check_outputs(names):
    """Refuses names that the server would not take, or that would not stand in config.pbtxt."""
    for name in names:
        check_name("--outputs", name)
        if names.count(name) > 1:
            raise Refused(f"--outputs names {name} twice: each output has a name of its own")


def check_folder(arguments):
    """Refuses a folder that the server would not take for a model's."""
    folder = os.path.abspath(arguments.folder)
    name = os.path.basename(folder)
    if not name or len(name) > 255 or not LETTERS.issuperset(name):
        raise Refused(
            f"MODEL_FOLDER {name!r}: its name is the model's, and the server takes letters, digits,"
            " '_', '.' and '-'"
        )
    if name.startswith("."):
        raise Refused(
            f"MODEL_FOLDER {name!r}: the server passes over folders whose names begin with a dot"
        )
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise Refused(f"MODEL_FOLDER {arguments.folder} is no folder: choose another place")
    version = os.path.join(folder, str(arguments.version))
    if os.path.lexists(version):
        raise Refused(
            f"{os.path.join(arguments.folder, str(arguments.version))} exists already: choose"
            " another --model-version"
        )


def import_exporter():
    """The module that needs torch."""
    choose = (
        "choose a Python that has one of the server's minor version with"
        " TANDEM_PYTHON=/path/to/python"
    )
    try:
        from tandem_export import exporter
    except ModuleNotFoundError as missing:
        raise Refused(
            f"this Python ({sys.executable}) has no module {missing.name}: {choose}, or install it"
            f" in this one (pip install {missing.name})"
        ) from missing
    except (ImportError, OSError) as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0]
        raise Refused(
            f"this Python ({sys.executable}) cannot import its torch ({reason}): {choose}"
        ) from error
    return exporter


def main():
    """Exit codes: 0 made, 2 refused with one line."""
    try:
        arguments = parser().parse_args()
        check_numbers(arguments)
        inputs = check_inputs(arguments)
        check_outputs(arguments.outputs or [])
        check_folder(arguments)
        import_exporter().export(arguments, inputs)
    except Refused as refused:
        # One line, and only characters that a terminal takes as they are.
        line = "".join(c if c.isprintable() else " " for c in str(refused))
        print(f"tandem export: {line}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)

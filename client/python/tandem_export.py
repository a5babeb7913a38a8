#!/usr/bin/env python3
"""Compiles a PyTorch model for Tandem:

    tandem export SOURCE MODEL_FOLDER --input x=FP32[3,224,224]

It is the same as `python -m tandem_export`, with the Python that TANDEM_PYTHON names, or python3.

SOURCE is PACKAGE.MODULE:NAME or FILE.py:NAME, where NAME is a torch.nn.Module or a function that
makes one, or a .pt2 file that torch.export.save wrote. MODEL_FOLDER becomes a model of a repository:
a version with model.pt2 (any batch size up to --max-batch-size), model.b1.pt2, … (one for each of
--batch-sizes, faster) and a config.pbtxt. What was compiled is run and held against the model
itself.

It needs the torch whose minor version the server's workers have, and a C++ compiler.
"""

import argparse
import copy
import importlib
import importlib.util
import os
import pathlib
import re
import sys
import tempfile

try:
    import torch
except ModuleNotFoundError as missing:
    sys.exit(
        f"tandem export: this Python ({sys.executable}) has no module {missing.name}: install torch"
        " of the server's minor version in it (pip install torch), or name another Python with"
        " TANDEM_PYTHON=/path/to/python"
    )

# Name in the protocol -> torch's type.
TYPES = {
    "BOOL": torch.bool,
    "UINT8": torch.uint8,
    "INT8": torch.int8,
    "INT16": torch.int16,
    "INT32": torch.int32,
    "INT64": torch.int64,
    "FP16": torch.float16,
    "FP32": torch.float32,
    "FP64": torch.float64,
    "BF16": torch.bfloat16,
}
NAMES = {kind: name for name, kind in TYPES.items()}
# Largest difference to the model itself, as part of its largest output.
TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2}
# Features of the CPU that compiled code may use, by how the kernel's names for them begin.
FEATURES = ("amx", "asimd", "avx", "bmi", "f16c", "fma", "sve")


class Refused(Exception):
    """What the command line asks for cannot be had."""


class Input:
    """NAME=TYPE[D1,D2]: without the batch dimension."""

    def __init__(self, text):
        match = re.fullmatch(r"([^=]+)=([A-Z0-9]+)\[([0-9,]*)\]", text)
        if match is None or match[2] not in TYPES:
            raise Refused(
                f"--input {text}: expected NAME=TYPE[D1,D2] with a type of {', '.join(TYPES)}"
            )
        self.name = match[1]
        self.type = match[2]
        self.dims = [int(size) for size in match[3].split(",") if size]

    def random(self, batch, generator):
        """Numbers in [0, 1), or small whole ones; `batch` None: without a batch dimension."""
        shape = self.dims if batch is None else [batch, *self.dims]
        kind = TYPES[self.type]
        if kind.is_floating_point:
            return torch.rand(shape, generator=generator).to(kind)
        return torch.randint(0, 2, shape, generator=generator).to(kind)


class InBfloat16(torch.nn.Module):
    """Computes in bfloat16 and keeps the types of inputs and outputs."""

    def __init__(self, model):
        super().__init__()
        self.model = model.to(torch.bfloat16)

    def forward(self, *inputs):
        outputs = self.model(*(x.bfloat16() if x.is_floating_point() else x for x in inputs))
        if isinstance(outputs, torch.Tensor):
            return outputs.float() if outputs.dtype == torch.bfloat16 else outputs
        return tuple(y.float() if y.dtype == torch.bfloat16 else y for y in outputs)


def load_model(source):
    """The module that SOURCE names, in evaluation mode."""
    if source.endswith(".pt"):
        raise Refused(
            f"{source}: a TorchScript file is served as it is, as model.pt; what is compiled is the"
            " module that it was made of"
        )
    if source.endswith(".pt2"):
        if not os.path.exists(source):
            raise Refused(f"{source} cannot be read")
        return torch.export.load(source).module()
    place, _, name = source.rpartition(":")
    if not place:
        raise Refused(f"{source}: expected PACKAGE.MODULE:NAME, FILE.py:NAME or a .pt2 file")
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location(pathlib.Path(place).stem, place)
        if spec is None or not os.path.exists(place):
            raise Refused(f"{place} cannot be read")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    model = getattr(module, name, None)
    if model is None:
        raise Refused(f"{place} has no {name}")
    if not isinstance(model, torch.nn.Module):
        model = model()
    if isinstance(model, torch.jit.ScriptModule):
        raise Refused(
            f"{source} is TorchScript, which is served as it is, as model.pt; what is compiled is the"
            " module that it was made of"
        )
    return model.eval()


def cpu_features():
    """Features of this CPU that the worker must have as well, as the kernel names them."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(("flags", "Features")):
                words = line.split(":", 1)[1].split()
                return " ".join(sorted(word for word in words if word.startswith(FEATURES)))
    return ""


def outputs_of(result):
    """A model's result as a list of tensors."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (tuple, list)) and all(isinstance(y, torch.Tensor) for y in result):
        return list(result)
    raise Refused("the model returns something else than tensors, or a tuple or list of them")


def compile_package(model, inputs, dynamic, max_batch, path):
    """Writes one AOTInductor package."""
    shapes = None
    if dynamic:
        # 0 and 1 are special to torch.export; a package for 2 and more takes 1 as well.
        batch = torch.export.Dim("batch", min=1, max=max_batch)
        # One entry for each input; *args of a wrapper are one argument that holds them all.
        each = tuple({0: batch} for _ in inputs)
        shapes = (each,) if isinstance(model, InBfloat16) else each
    try:
        program = torch.export.export(model, tuple(inputs), dynamic_shapes=shapes)
    except Exception as error:
        # Torch tells in many lines and by many types what a program does not take.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        sizes = f"1 to {max_batch}" if dynamic else str(inputs[0].shape[0] if inputs else "-")
        raise Refused(
            f"torch cannot export the model for a batch of {sizes}: {reason}"
        ) from error
    torch._inductor.aoti_compile_and_package(
        program,
        package_path=str(path),
        inductor_configs={
            "freezing": True,
            "aot_inductor.metadata": {
                "TANDEM_TORCH_VERSION": torch.__version__,
                "TANDEM_CPU_FEATURES": cpu_features(),
            },
        },
    )


def largest_difference(package, model, inputs):
    """Of the package's outputs to the model's, as part of the model's largest."""
    expected = outputs_of(model(*inputs))
    got = outputs_of(torch._inductor.aoti_load_package(str(package))(*inputs))
    if len(expected) != len(got):
        raise Refused(f"the package returns {len(got)} tensors, the model {len(expected)}")
    worst = 0.0
    for a, b in zip(expected, got):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise Refused(
                f"the package returns {b.dtype}{list(b.shape)}, the model {a.dtype}{list(a.shape)}"
            )
        if a.numel() == 0:
            continue
        scale = max(a.double().abs().max().item(), 1e-30)
        worst = max(worst, (a.double() - b.double()).abs().max().item() / scale)
    return worst


def tensor_text(kind, name, type_name, dims):
    sizes = ", ".join(str(size) for size in dims)
    return f'{kind} {{ name: "{name}" data_type: TYPE_{type_name} dims: [ {sizes} ] }}'


def config_text(name, arguments, inputs, outputs):
    """config.pbtxt; `outputs` are tensors of a run of one row."""
    batched = arguments.max_batch_size > 0
    lines = [
        f'name: "{name}"',
        'platform: "torch_aoti"',
        f"max_batch_size: {arguments.max_batch_size}",
    ]
    for one in inputs:
        lines.append(tensor_text("input", one.name, one.type, one.dims))
    names = arguments.outputs or [f"OUTPUT__{i}" for i in range(len(outputs))]
    if len(names) != len(outputs):
        raise Refused(f"--outputs names {len(names)}, but the model returns {len(outputs)}")
    for output_name, output in zip(names, outputs):
        if output.dtype not in NAMES:
            raise Refused(
                f"output {output_name} is {output.dtype}, which the protocol does not carry"
            )
        dims = output.shape[1:] if batched else output.shape
        lines.append(tensor_text("output", output_name, NAMES[output.dtype], dims))
    kind = "KIND_GPU" if arguments.device == "cuda" else "KIND_CPU"
    lines.append(f"instance_group {{ kind: {kind} }}")
    if arguments.max_batch_size > 1:
        lines.append("dynamic_batching { }")
    return "\n".join([*lines, ""])


def plan(arguments):
    """(batch size of the example, file name, dynamic) of each package to make."""
    if arguments.max_batch_size == 0:
        return [(None, "model.pt2", False)]
    packages = [(size, f"model.b{size}.pt2", False) for size in sorted(set(arguments.batch_sizes))]
    if arguments.max_batch_size > 1 and arguments.max_batch_size not in arguments.batch_sizes:
        packages.append((2, "model.pt2", True))
    return packages


def export(arguments):
    inputs = [Input(text) for text in arguments.input]
    generator = torch.Generator().manual_seed(1)
    packages = plan(arguments)
    model = load_model(arguments.source)
    compiled_from = (
        InBfloat16(copy.deepcopy(model)) if arguments.precision == "bf16" else model
    )
    if arguments.device == "cuda":
        model, compiled_from = model.cuda(), compiled_from.cuda()
    tolerance = arguments.tolerance or TOLERANCES[arguments.precision]
    folder = pathlib.Path(arguments.folder)
    version = folder / str(arguments.version)
    if version.exists():
        raise Refused(f"{version} exists already: choose another --model-version")
    # Before the long part, so that a wrong name is told at once.
    one_row = [one.random(packages[0][0] and 1, generator).to(arguments.device) for one in inputs]
    config = config_text(folder.name, arguments, inputs, outputs_of(model(*one_row)))
    folder.mkdir(parents=True, exist_ok=True)
    # The version appears in one step, when all of it is there and has been checked.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as made:
        for batch, file, dynamic in packages:
            example = [one.random(batch, generator).to(arguments.device) for one in inputs]
            path = pathlib.Path(made) / file
            compile_package(compiled_from, example, dynamic, arguments.max_batch_size, path)
            sizes = [1, arguments.max_batch_size] if dynamic else [batch]
            for size in sizes:
                rows = [one.random(size, generator).to(arguments.device) for one in inputs]
                difference = largest_difference(path, model, rows)
                print(
                    f"{file}: batch {size or '-'}: largest difference {difference:.1e}"
                    " of the largest output"
                )
                if not difference <= tolerance:
                    raise Refused(
                        f"{file} differs by {difference:.1e}; --tolerance is {tolerance:g}"
                    )
        os.chmod(made, 0o755)
        os.rename(made, version)
        os.mkdir(made)  # For the context manager to remove.
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
    print(f"{version} is made: {', '.join(file for _, file, _ in packages)}, config.pbtxt")


def main():
    parser = argparse.ArgumentParser(
        prog="tandem export" if sys.argv[0] == "-c" else None,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("folder", metavar="MODEL_FOLDER")
    parser.add_argument(
        "--input",
        action="append",
        required=True,
        metavar="NAME=TYPE[D1,D2]",
        help="each tensor that the model takes, in order, without the batch dimension",
    )
    parser.add_argument(
        "--outputs",
        type=lambda text: text.split(","),
        metavar="NAME,NAME",
        help="names of what it returns (OUTPUT__0, …)",
    )
    parser.add_argument(
        "--max-batch-size", type=int, default=8, metavar="N", help="0: no batch dimension (8)"
    )
    parser.add_argument(
        "--batch-sizes",
        type=lambda text: [int(size) for size in text.split(",") if size],
        default=[1],
        metavar="N,N",
        help="sizes with a package of their own (1)",
    )
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tolerance", type=float, help="largest difference (1e-4; 5e-2 for bf16)")
    parser.add_argument("--model-version", dest="version", type=int, default=1, metavar="N")
    arguments = parser.parse_args()
    too_large = [
        size for size in arguments.batch_sizes if not 0 < size <= max(arguments.max_batch_size, 1)
    ]
    try:
        if too_large:
            raise Refused(f"--batch-sizes {too_large[0]}: expected 1 to --max-batch-size")
        with torch.no_grad():
            export(arguments)
    except Refused as refused:
        print(f"tandem export: {refused}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

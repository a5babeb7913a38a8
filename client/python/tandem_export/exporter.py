"""Makes a version: compiles, holds what came out against the model, and puts it in its place."""

import contextlib
import copy
import logging
import os
import pathlib
import tempfile

import torch

from tandem_export.model_config import MOST_DIMENSIONS, TYPES, Config, Refused
from tandem_export.model_source import load_model, reason_of
from tandem_export.winograd import with_winograd

NAMES = {getattr(torch, kind): name for name, kind in TYPES.items()}
# Largest difference to the model itself, as part of its largest output.
TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2}
# Features of the CPU that compiled code may use, by how the kernel's names for them begin.
FEATURES = ("amx", "asimd", "avx", "bmi", "f16c", "fma", "sve")


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


class Examples:
    """Random inputs, the same in each run."""

    def __init__(self, inputs, device):
        self.inputs = inputs
        self.device = device
        self.generator = torch.Generator().manual_seed(1)

    def make(self, batch):
        """Numbers in [0, 1), or small whole ones; `batch` None: without a batch dimension."""
        return [self._random(one, batch).to(self.device) for one in self.inputs]

    def _random(self, one, batch):
        shape = one.dims if batch is None else [batch, *one.dims]
        kind = getattr(torch, TYPES[one.type])
        if kind.is_floating_point:
            return torch.rand(shape, generator=self.generator).to(kind)
        return torch.randint(0, 2, shape, generator=self.generator).to(kind)

    def words(self, batch):
        """Their types and shapes for a reader."""
        first = [] if batch is None else [batch]
        return ", ".join(
            f"{one.name} {one.type}[{','.join(map(str, [*first, *one.dims]))}]"
            for one in self.inputs
        )


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


def run_model(model, examples, batch, inputs):
    """The model's own outputs."""
    try:
        return outputs_of(model(*inputs))
    except Refused:
        raise
    except Exception as error:
        raise Refused(
            f"the model does not run with {examples.words(batch)}: {reason_of(error)}"
        ) from error


def described_outputs(arguments, model, examples, batches):
    """(name, type, dims) of each output, by runs with all of these batch sizes."""
    described = []
    for batch in batches:
        outputs = run_model(model, examples, batch, examples.make(batch))
        names = arguments.outputs or [f"OUTPUT__{i}" for i in range(len(outputs))]
        if not outputs:
            raise Refused("the model returns no tensors")
        if len(names) != len(outputs):
            raise Refused(f"--outputs names {len(names)}, but the model returns {len(outputs)}")
        described.append([describe(*entry, batch) for entry in zip(names, outputs)])
        if described[0] != described[-1]:
            raise Refused(
                f"the model's outputs for a batch of {batch} have other types or sizes than for"
                f" {batches[0]}: the server takes outputs whose first dimension alone varies"
            )
    return described[0]


def describe(name, output, batch):
    """One output's (name, type, dims)."""
    if output.dtype not in NAMES:
        raise Refused(f"output {name} is {output.dtype}, which the protocol does not carry")
    shape = list(output.shape)
    if batch is not None and shape[:1] != [batch]:
        raise Refused(
            f"output {name} has the shape {shape} for a batch of {batch}, which has to be its first"
            " dimension; for a model without a batch dimension name --max-batch-size 0"
        )
    if len(shape) > MOST_DIMENSIONS:
        raise Refused(
            f"output {name} has {len(shape)} dimensions: the server takes up to {MOST_DIMENSIONS}"
        )
    if 0 in shape:
        raise Refused(f"output {name} has the shape {shape}: the server takes none that are empty")
    return name, NAMES[output.dtype], shape if batch is None else shape[1:]


def compile_package(model, inputs, dynamic, max_batch, winograd, path):
    """Writes one AOTInductor package."""
    shapes = None
    if dynamic:
        # 0 and 1 are special to torch.export; a package for 2 and more takes 1 as well.
        batch = torch.export.Dim("batch", min=1, max=max_batch)
        # One entry for each input; *args of a wrapper are one argument that holds them all.
        each = tuple({0: batch} for _ in inputs)
        shapes = (each,) if isinstance(model, InBfloat16) else each
    sizes = f"1 to {max_batch}" if dynamic else str(inputs[0].shape[0] if max_batch else "-")
    try:
        program = torch.export.export(model, tuple(inputs), dynamic_shapes=shapes)
    except Exception as error:
        raise Refused(
            f"torch cannot export the model for a batch of {sizes}: {reason_of(error)}"
        ) from error
    try:
        if winograd:
            changed = with_winograd(program, max_batch)
            program = torch.export.export(changed, tuple(inputs), dynamic_shapes=shapes)
        torch._inductor.aoti_compile_and_package(
            program,
            package_path=str(path),
            inductor_configs={
                "freezing": True,
                # As many threads as the worker's lane has, not as this machine has cores.
                "cpp.dynamic_threads": True,
                "aot_inductor.metadata": {
                    "TANDEM_TORCH_VERSION": torch.__version__,
                    "TANDEM_CPU_FEATURES": cpu_features(),
                },
            },
        )
    except Exception as error:
        raise Refused(
            f"torch cannot compile the model for a batch of {sizes}: {reason_of(error)}"
        ) from error


def difference_of(expected, got):
    """The largest difference, as part of the largest number expected. Where both are NaN or the same
    infinity, they are equal; infinite where but one is not a finite number.
    """
    a, b = expected.double(), got.double()
    equal = (a == b) | (a.isnan() & b.isnan())
    if equal.all():
        return 0.0
    difference = (a - b).abs().masked_fill(equal, 0)
    if not difference.isfinite().all():
        return float("inf")
    finite = a[a.isfinite()].abs()
    scale = max(finite.max().item() if finite.numel() else 0.0, 1e-30)
    return difference.max().item() / scale


def check_package(path, model, examples, size, tolerance):
    """Runs a package and refuses one that is too far from the model."""
    inputs = examples.make(size)
    expected = run_model(model, examples, size, inputs)
    try:
        got = outputs_of(torch._inductor.aoti_load_package(str(path))(*inputs))
    except Exception as error:
        raise Refused(f"{path.name} does not run: {reason_of(error)}") from error
    if len(expected) != len(got):
        raise Refused(f"{path.name} returns {len(got)} tensors, the model {len(expected)}")
    for a, b in zip(expected, got):
        if a.shape != b.shape or a.dtype != b.dtype:
            raise Refused(
                f"{path.name} returns {b.dtype}{list(b.shape)}, the model {a.dtype}{list(a.shape)}"
            )
    difference = max(difference_of(a, b) for a, b in zip(expected, got))
    if difference == float("inf"):
        raise Refused(
            f"{path.name} gives NaN or infinities for a batch of {size or '-'} where the model does"
            " not, or numbers where the model gives such"
        )
    print(
        f"{path.name}: batch {size or '-'}: largest difference {difference:.1e}"
        " of the largest output"
    )
    if not difference <= tolerance:
        raise Refused(f"{path.name} differs by {difference:.1e}; --tolerance is {tolerance:g}")


def plan(arguments):
    """(batch size of the example, file name, dynamic) of each package to make."""
    if arguments.max_batch_size == 0:
        return [(None, "model.pt2", False)]
    packages = [(size, f"model.b{size}.pt2", False) for size in sorted(set(arguments.batch_sizes))]
    if arguments.max_batch_size > 1 and arguments.max_batch_size not in arguments.batch_sizes:
        packages.append((2, "model.pt2", True))
    return packages


def keeps_config(path, config, replace):
    """Whether the config.pbtxt that is there stays; refuses where it does not fit."""
    if replace or not os.path.lexists(path):
        return False
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(
            f"{path} is there and cannot be read ({reason_of(error)}): --replace-config writes it"
            " anew"
        ) from error
    misfit = config.misfit(text)
    if misfit:
        raise Refused(
            f"{path} does not fit the new version: {misfit}; change it, or have it written anew by"
            " --replace-config"
        )
    return text != config.text()


@contextlib.contextmanager
def made_folder(folder):
    """Makes the folder and those above it; takes away again what it made where the block fails."""
    missing = []
    place = pathlib.Path(os.path.abspath(folder))
    made = []
    try:
        try:
            while not place.exists():
                missing.append(place)
                place = place.parent
            for one in reversed(missing):
                one.mkdir()
                made.append(one)
        except OSError as error:
            raise Refused(f"{folder} cannot be made: {error.strerror}") from error
        yield
    except BaseException:
        for one in reversed(made):
            # Somebody else may have put something there meanwhile.
            with contextlib.suppress(OSError):
                one.rmdir()
        raise


@contextlib.contextmanager
def own_compiler_cache():
    """A folder of this export's own for what the compiler writes, unless the user has named one. Two
    exports of the same model would write the same files in torch's, and one package what the other
    has half written.
    """
    name = "TORCHINDUCTOR_CACHE_DIR"
    if name in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="tandem-export-") as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            os.environ.pop(name, None)


def write_version(arguments, packages, model, compiled_from, examples, config):
    """Compiles and checks the packages; the version appears in one step, when all of it is there.
    `config`: text of config.pbtxt, None where it stays.
    """
    tolerance = arguments.tolerance
    if tolerance is None:
        tolerance = TOLERANCES[arguments.precision]
    folder = pathlib.Path(arguments.folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as scratch:
        made = pathlib.Path(scratch) / "version"
        made.mkdir()
        made.chmod(0o755)
        for batch, file, dynamic in packages:
            path = made / file
            example = examples.make(batch)
            compile_package(
                compiled_from, example, dynamic, arguments.max_batch_size, arguments.winograd, path
            )
            for size in [1, arguments.max_batch_size] if dynamic else [batch]:
                check_package(path, model, examples, size, tolerance)
        new_config = pathlib.Path(scratch) / "config.pbtxt"
        if config is not None:
            new_config.write_text(config, encoding="utf-8")
        made.rename(folder / str(arguments.version))
        if config is not None:
            new_config.replace(folder / "config.pbtxt")


def export(arguments, inputs):
    """Does what the command line asks for, `inputs` being its --input."""
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise Refused("--device cuda: this Python's torch finds no GPU and driver that it can use")
    # It warns that something is missing which nothing here asks for.
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    packages = plan(arguments)
    folder = pathlib.Path(arguments.folder)
    with torch.no_grad():
        model = load_model(arguments.source)
        compiled_from = (
            InBfloat16(copy.deepcopy(model)) if arguments.precision == "bf16" else model
        )
        if arguments.device == "cuda":
            model, compiled_from = model.cuda(), compiled_from.cuda()
        # Before the long part, so that what does not fit is told at once.
        examples = Examples(inputs, arguments.device)
        outputs = described_outputs(arguments, model, examples, [batch for batch, _, _ in packages])
        name = os.path.basename(os.path.abspath(folder))
        wanted = [(one.name, one.type, one.dims) for one in inputs]
        config = Config(name, arguments.max_batch_size, arguments.device, wanted, outputs)
        kept = keeps_config(folder / "config.pbtxt", config, arguments.replace_config)
        with made_folder(folder), own_compiler_cache():
            try:
                text = None if kept else config.text()
                write_version(arguments, packages, model, compiled_from, examples, text)
            except OSError as error:
                raise Refused(f"{folder} cannot be written to: {reason_of(error)}") from error
    version = folder / str(arguments.version)
    print(f"{version} is made: {', '.join(file for _, file, _ in packages)}", end="")
    print("; config.pbtxt is kept as it is, since it fits" if kept else ", config.pbtxt")

"""The model that SOURCE names."""

import importlib
import importlib.util
import logging
import os
import pathlib
import traceback
import warnings
import zipfile

import torch

from tandem_export.model_config import Refused


def reason_of(error):
    """A short reason out of any exception: torch's take many lines, of many types."""
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {lines[0]}" if lines else name


def place_of(error, file):
    """Where in the user's file the error arose, "" where it did not."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if file is not None and os.path.realpath(frame.filename) == os.path.realpath(file):
            return f" ({os.path.basename(file)}, line {frame.lineno})"
    return ""


def load_program(source):
    """A file of torch.export.save, as a module."""
    if not os.path.isfile(source):
        raise Refused(f"{source} cannot be read: there is no such file")
    try:
        with zipfile.ZipFile(source) as file:
            compiled = any("/aotinductor/" in name for name in file.namelist())
    except (OSError, zipfile.BadZipFile) as error:
        raise Refused(
            f"{source} is no whole file of torch.export.save: {reason_of(error)}"
        ) from error
    if compiled:
        raise Refused(
            f"{source} is compiled already: expected a file that torch.export.save wrote, or the"
            " module itself"
        )
    # Torch would log what it then raises, with a traceback; and it warns of its own reading.
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(source).module()
    except Exception as error:
        raise Refused(
            f"{source} is no whole file of torch.export.save: {reason_of(error)}"
        ) from error
    finally:
        logging.disable(logging.NOTSET)


def load_module(place):
    """The Python module PACKAGE.MODULE or FILE.py."""
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(pathlib.Path(place).stem, place)
        if spec is None or not os.path.isfile(place):
            raise Refused(f"{place} cannot be read: there is no such file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except Refused:
        raise
    # It is anybody's code, and may also call sys.exit.
    except (Exception, SystemExit) as error:
        where = place_of(error, place if place.endswith(".py") else None)
        raise Refused(f"{place} cannot be imported: {reason_of(error)}{where}") from error


def make_model(source, model):
    """The module that a function or class of the user makes."""
    if not callable(model):
        raise Refused(
            f"{source} is of type {type(model).__name__}: expected a torch.nn.Module or a function"
            " that makes one"
        )
    try:
        made = model()
    except (Exception, SystemExit) as error:
        code = getattr(model, "__code__", getattr(getattr(model, "__init__", None), "__code__", None))
        where = place_of(error, code and code.co_filename)
        raise Refused(f"{source} raised {reason_of(error)}{where}") from error
    if not isinstance(made, torch.nn.Module):
        raise Refused(f"{source} made a {type(made).__name__}: expected a torch.nn.Module")
    return made


def load_model(source):
    """The torch.nn.Module, in evaluation mode."""
    if source.endswith(".pt"):
        raise Refused(
            f"{source}: a TorchScript file is served as it is, as model.pt; what is compiled is the"
            " module that it was made of"
        )
    if source.endswith(".pt2"):
        return load_program(source)
    place, _, name = source.rpartition(":")
    if not place or not name:
        raise Refused(f"{source}: expected PACKAGE.MODULE:NAME, FILE.py:NAME or a .pt2 file")
    model = getattr(load_module(place), name, None)
    if model is None:
        raise Refused(f"{place} has no {name}")
    if not isinstance(model, torch.nn.Module):
        model = make_model(source, model)
    if isinstance(model, torch.jit.ScriptModule):
        raise Refused(
            f"{source} is TorchScript, which is served as it is, as model.pt; what is compiled is the"
            " module that it was made of"
        )
    return model.eval()

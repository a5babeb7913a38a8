"""Model repositories, made on the spot."""

import os
import shutil
import tempfile


def tensor(name, data_type, dims):
    """An `input` or `output` entry of config.pbtxt."""
    numbers = ", ".join(str(dim) for dim in dims)
    return f'{{ name: "{name}" data_type: {data_type} dims: [ {numbers} ] }}'


def config(
    name,
    platform="synthetic",
    inputs=(("INPUT0", "TYPE_FP32", [4]),),
    outputs=(("OUTPUT0", "TYPE_FP32", [4]),),
    max_batch_size=8,
    kinds=("KIND_CPU",),
    parameters=None,
    extra="",
):
    """Text of a config.pbtxt."""
    lines = [f'name: "{name}"', f'platform: "{platform}"', f"max_batch_size: {max_batch_size}"]
    lines += ["input " + tensor(*entry) for entry in inputs]
    lines += ["output " + tensor(*entry) for entry in outputs]
    lines += [f"instance_group {{ kind: {kind} }}" for kind in kinds]
    for key, value in (parameters or {}).items():
        lines.append(f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}')
    return "\n".join([*lines, extra, ""])


class Repository:
    """A folder of models that lives as long as its `with` block."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="tandem-models-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def add(self, name, config_text, versions=(1,), files=None):
        """Adds a model. `files` are copied into each version: name in the version's folder to
        source.
        """
        os.makedirs(os.path.join(self.path, name))
        for version in versions:
            folder = os.path.join(self.path, name, str(version))
            os.makedirs(folder)
            for target, source in (files or {}).items():
                shutil.copy(source, os.path.join(folder, target))
        if config_text is not None:
            with open(os.path.join(self.path, name, "config.pbtxt"), "w", encoding="utf-8") as file:
                file.write(config_text)
        return self

    def synthetic(self, name, versions=(1,), **settings):
        """Adds a synthetic model; see config() for its settings."""
        return self.add(name, config(name, **settings), versions)

    def write(self, path, data):
        """Writes a file at a path inside of the repository."""
        path = os.path.join(self.path, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return self

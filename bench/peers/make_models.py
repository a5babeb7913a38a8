"""Makes what the servers are compared with: two TorchScript models as a repository of Tandem's, and for
each an input and the right output. And repositories where AOTInductor has compiled the larger one.

usage: make_models.py FOLDER   (with TANDEM_BUILD_DIR)"""

import os
import shutil
import subprocess
import sys

import torch
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
# pylint: disable=wrong-import-position
from harness import build_path
from make_models import residual_net_18

CONFIG = """\
name: "{name}"
platform: "pytorch_libtorch"
max_batch_size: {batch}
input {{ name: "INPUT" data_type: TYPE_FP32 dims: [ {dims} ] }}
output {{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ {outputs} ] }}
instance_group {{ kind: KIND_CPU }}
dynamic_batching {{ }}
"""


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def resnet18():
    torch.manual_seed(18)
    return residual_net_18()


def compile_resnet18(repository, others, precision):
    """A repository with the compiled net, and the other models as they are in `others`."""
    shutil.copytree(os.path.join(others, "small"), os.path.join(repository, "small"))
    command = [
        *(build_path("tandem"), "export", os.path.abspath(__file__) + ":resnet18"),
        *(os.path.join(repository, "resnet18"), "--input=INPUT=FP32[3,224,224]"),
        *("--outputs=OUTPUT", "--max-batch-size=4", "--batch-sizes=1,4", "--winograd"),
        f"--precision={precision}",
    ]
    subprocess.run(command, env={**os.environ, "TANDEM_PYTHON": sys.executable}, check=True)


def main():
    folder = sys.argv[1]
    scripts = os.path.join(folder, "repository")
    for make, shape, outputs, batch in (
        (small, (64,), 10, 16),
        (resnet18, (3, 224, 224), 1000, 4),
    ):
        name, model = make.__name__, make().eval()
        version = os.path.join(scripts, name, "1")
        os.makedirs(version, exist_ok=True)
        example = torch.rand(1, *shape)
        with torch.no_grad():
            traced = torch.jit.trace(model, example)
            answer = traced(example)
        traced.save(os.path.join(version, "model.pt"))
        write(os.path.join(folder, name + ".input"), example.numpy().tobytes())
        write(os.path.join(folder, name + ".output"), answer.numpy().tobytes())
        dims = ", ".join(map(str, shape))
        text = CONFIG.format(name=name, batch=batch, dims=dims, outputs=outputs)
        write(os.path.join(scripts, name, "config.pbtxt"), text.encode())
    for precision in ("fp32", "bf16"):
        compile_resnet18(os.path.join(folder, "compiled-" + precision), scripts, precision)


if __name__ == "__main__":
    main()

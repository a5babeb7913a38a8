"""Makes what the servers are compared with: two TorchScript models as a repository of Tandem's, and for
each an input and the right output.

usage: make_models.py FOLDER"""

import os
import sys

import torch
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
# pylint: disable=wrong-import-position
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


def main():
    folder = sys.argv[1]
    torch.manual_seed(0)
    small = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    for name, model, shape, outputs, batch in (
        ("small", small, (64,), 10, 16),
        ("resnet18", residual_net_18(), (3, 224, 224), 1000, 1),
    ):
        version = os.path.join(folder, "repository", name, "1")
        os.makedirs(version, exist_ok=True)
        example = torch.rand(1, *shape)
        with torch.no_grad():
            traced = torch.jit.trace(model.eval(), example)
            answer = traced(example)
        traced.save(os.path.join(version, "model.pt"))
        write(os.path.join(folder, name + ".input"), example.numpy().tobytes())
        write(os.path.join(folder, name + ".output"), answer.numpy().tobytes())
        text = CONFIG.format(
            name=name, batch=batch, dims=", ".join(map(str, shape)), outputs=outputs
        )
        write(os.path.join(folder, "repository", name, "config.pbtxt"), text.encode())


if __name__ == "__main__":
    main()

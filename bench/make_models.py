"""Makes the models that bench/run.sh measures with: TorchScript models of resnet18's size and of a small
net, with random weights (their speed does not depend on them), and one that only echoes.

usage: make_models.py FOLDER"""

import os
import sys

import torch
from torch import nn


class Block(nn.Module):
    """Two 3×3 convolutions and the way around them."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.around = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.around = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(y)) + self.around(x))


def residual_net_18(classes=1000):
    """The 18-layer residual net of He et al., 2015: 11.7 million parameters, 1.8 billion
    multiplications.
    """
    layers = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    channels_in = 64
    for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(channels_in, channels, stride), Block(channels, channels, 1)]
        channels_in = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


class Encoder(nn.Module):
    """Four layers of a transformer (Vaswani et al., 2017) over 64 tokens: little goes in, much is computed."""

    def __init__(self, words=1000, width=256, layers=4):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, tokens):
        return self.head(self.layers(self.embedding(tokens % 1000)).mean(1))


ENCODER_CONFIG = """\
platform: "pytorch_libtorch"
max_batch_size: 8
input { name: "INPUT0" data_type: TYPE_INT64 dims: [ 64 ] }
output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 10 ] }
instance_group { kind: KIND_CPU }
"""

RESNET18_CONFIG = """\
platform: "pytorch_libtorch"
max_batch_size: 8
input { name: "INPUT0" data_type: TYPE_FP32 dims: [ 3, 224, 224 ] }
output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 1000 ] }
instance_group { kind: KIND_CPU }
"""

ECHO_CONFIG = """\
platform: "synthetic"
max_batch_size: 8
input { name: "INPUT0" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 4 ] }
instance_group { kind: KIND_CPU }
"""


SMALL_CONFIG = """\
platform: "pytorch_libtorch"
max_batch_size: 16
input { name: "INPUT0" data_type: TYPE_FP32 dims: [ 64 ] }
output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 10 ] }
instance_group { kind: KIND_CPU }
"""

CONFIGS = {
    "resnet18": RESNET18_CONFIG,
    "echo": ECHO_CONFIG,
    "encoder": ENCODER_CONFIG,
    "small": SMALL_CONFIG + "dynamic_batching { }\n",
    "small_alone": SMALL_CONFIG,
}


def main():
    folder = sys.argv[1]
    for name, config in CONFIGS.items():
        os.makedirs(os.path.join(folder, name, "1"), exist_ok=True)
        with open(os.path.join(folder, name, "config.pbtxt"), "w", encoding="ascii") as file:
            file.write(config)
    torch.manual_seed(18)
    model = residual_net_18().eval()
    assert sum(p.numel() for p in model.parameters()) == 11_689_512
    with torch.no_grad():
        traced = torch.jit.trace(model, torch.rand(1, 3, 224, 224))
    traced.save(os.path.join(folder, "resnet18", "1", "model.pt"))
    with torch.no_grad():
        encoder = torch.jit.trace(Encoder().eval(), torch.zeros(1, 64, dtype=torch.int64))
    encoder.save(os.path.join(folder, "encoder", "1", "model.pt"))
    small = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).eval()
    with torch.no_grad():
        traced = torch.jit.trace(small, torch.rand(1, 64))
    for name in ("small", "small_alone"):
        traced.save(os.path.join(folder, name, "1", "model.pt"))


if __name__ == "__main__":
    main()

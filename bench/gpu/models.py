"""Makes the models that the GPU check measures with: TorchScript of known sizes with random weights
(their speed does not depend on them), as a model repository.

usage: models.py FOLDER SIZE   (SIZE: full, or small for machines without a GPU)
"""

import os
import sys

import torch
from torch import nn
from torch.nn import functional


class Bottleneck(nn.Module):
    """A 1×1, a 3×3 and a 1×1 convolution, and the way around them."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        widened = 4 * channels
        self.through = nn.Sequential(
            nn.Conv2d(channels_in, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, widened, 1, bias=False),
            nn.BatchNorm2d(widened),
        )
        self.around = nn.Sequential()
        if stride != 1 or channels_in != widened:
            self.around = nn.Sequential(
                nn.Conv2d(channels_in, widened, 1, stride, bias=False), nn.BatchNorm2d(widened)
            )

    def forward(self, x):
        return torch.relu(self.through(x) + self.around(x))


def residual_net(depths, classes=1000):
    """A residual net of bottlenecks; (3, 4, 6, 3) is that of 50 layers."""
    layers = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    channels_in = 64
    for stage, depth in enumerate(depths):
        channels = 64 << stage
        for block in range(depth):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(Bottleneck(channels_in, channels, stride))
            channels_in = 4 * channels
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels_in, classes)
    )


class EncoderLayer(nn.Module):
    """Attention and two linear layers, as in an encoder of Vaswani et al., 2017."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.first_norm = nn.LayerNorm(width)
        self.second_norm = nn.LayerNorm(width)

    def forward(self, x):
        rows, length, width = x.shape
        parts = self.query_key_value(x).view(rows, length, 3, self.heads, width // self.heads)
        parts = parts.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        attended = attended.transpose(1, 2).reshape(rows, length, width)
        x = self.first_norm(x + self.out(attended))
        return self.second_norm(x + self.narrow(functional.gelu(self.wide(x))))


def encoder(layers, width, heads):
    return nn.Sequential(*(EncoderLayer(width, heads) for _ in range(layers)))


def perceptron(width, layers):
    steps = []
    for _ in range(layers):
        steps += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*steps)


# name: (model, dimensions of the input, of the output) of each size.
def nets(size):
    if size == "full":
        return {
            "resnet50": (residual_net((3, 4, 6, 3)), (3, 224, 224), (1000,)),
            "transformer": (encoder(12, 768, 12), (128, 768), (128, 768)),
            "light": (perceptron(512, 8), (512,), (512,)),
            "small_net": (residual_net((1, 1, 1, 1)), (3, 96, 96), (1000,)),
        }
    return {
        "resnet50": (residual_net((1, 1)), (3, 32, 32), (1000,)),
        "transformer": (encoder(1, 32, 2), (8, 32), (8, 32)),
        "light": (perceptron(64, 4), (64,), (64,)),
        "small_net": (residual_net((1,)), (3, 16, 16), (1000,)),
    }


# served name: (net, kinds of pool, parameters).
SERVED = {
    "resnet50": ("resnet50", ("GPU",), {}),
    "resnet50_fp16": ("resnet50", ("GPU",), {"autocast": "fp16"}),
    "transformer": ("transformer", ("GPU",), {}),
    "light_plain": ("light", ("GPU",), {}),
    "light_graphs": ("light", ("GPU",), {"cuda_graphs": "1,8"}),
    "cpu_net": ("small_net", ("CPU",), {}),
    "cpu_light": ("light", ("CPU",), {}),
    "both_auto": ("small_net", ("CPU", "GPU"), {"placement": "auto"}),
    "both_gpu": ("small_net", ("CPU", "GPU"), {"placement": "gpu"}),
}


def config(name, dims, dims_out, kinds, parameters):
    sizes, sizes_out = (", ".join(map(str, each)) for each in (dims, dims_out))
    groups = ", ".join(f"{{ kind: KIND_{kind} }}" for kind in kinds)
    lines = [
        f'name: "{name}"',
        'platform: "pytorch_libtorch"',
        "max_batch_size: 32",
        f'input {{ name: "INPUT__0" data_type: TYPE_FP32 dims: [ {sizes} ] }}',
        f'output {{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ {sizes_out} ] }}',
        f"instance_group [ {groups} ]",
        "dynamic_batching { }",
    ]
    lines += [
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
        for key, value in parameters.items()
    ]
    return "\n".join(lines) + "\n"


def main():
    folder, size = sys.argv[1:]
    torch.manual_seed(50)
    made = nets(size)
    for name, (net, kinds, parameters) in SERVED.items():
        model, dims, dims_out = made[net]
        os.makedirs(os.path.join(folder, name, "1"), exist_ok=True)
        torch.jit.script(model.eval()).save(os.path.join(folder, name, "1", "model.pt"))
        with open(os.path.join(folder, name, "config.pbtxt"), "w", encoding="ascii") as file:
            file.write(config(name, dims, dims_out, kinds, parameters))


if __name__ == "__main__":
    main()

"""Writes the TorchScript models of tests/integration/test_torchscript.py to a repository. It is a
program of its own, so that LibTorch's libraries and gRPC's never meet in one process.

usage: make_torchscript.py FOLDER"""

import os
import sys

import torch
from torch import Tensor, nn


class Affine(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.tensor([1.0, 2.0, 3.0, 4.0]))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + 1


class Several(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x + y, x - y


class ListOf(nn.Module):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, x * 2, x * 3]


class DictOf(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"sum": x.sum(1, keepdim=True), "double": x * 2}


class Scalars(nn.Module):
    @torch.jit.export
    def scaled(self, x: Tensor, times: int, plus: float, negate: bool, word: str) -> Tensor:
        y = x * times + plus
        if negate:
            y = -y
        return y if word == "keep" else torch.zeros_like(y)

    def forward(self, x: Tensor) -> Tensor:
        return x


class Same(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


class Raises(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if bool((x > 0).any()):
            raise ValueError("positive numbers are not for this model")
        return x


class AddNumber(nn.Module):
    """Takes a number of Python's, and has no config.pbtxt that would say so."""

    def forward(self, x: Tensor, number: float) -> Tensor:
        return x + number


class Toils(nn.Module):
    """Computes for longer than other work should wait."""

    def forward(self, x: Tensor) -> Tensor:
        square = torch.full((600, 600), 1 / 600) + x.mean()
        for _ in range(8):
            square = square @ square
        return x + square.mean() * 0


class Multiply(nn.Module):
    """Wants rows of 3 numbers, and has no config.pbtxt that would say so."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 2))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


MODELS = {
    "affine": Affine,
    "several": Several,
    "list_of": ListOf,
    "dict_of": DictOf,
    "scalars": Scalars,
    "same": Same,
    "raises": Raises,
    "toils": Toils,
    "multiply": Multiply,
    "add_number": AddNumber,
    "add_single": AddNumber,
}


def main():
    for name, model in MODELS.items():
        folder = os.path.join(sys.argv[1], name, "1")
        os.makedirs(folder, exist_ok=True)
        torch.jit.script(model().eval()).save(os.path.join(folder, "model.pt"))


if __name__ == "__main__":
    main()

"""Writes a TorchScript model of some size, which answers with its input times a number, to a file.
A program of its own, so that LibTorch's libraries and gRPC's never meet in one process.

usage: make_swapped_model.py FILE MEBIBYTES"""

import sys

import torch
from torch import Tensor, nn


class Swapped(nn.Module):
    def __init__(self, floats: int):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, floats // 4))

    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * (x @ self.weight).sum(1, keepdim=True)


if __name__ == "__main__":
    torch.jit.script(Swapped(int(sys.argv[2]) << 18).eval()).save(sys.argv[1])

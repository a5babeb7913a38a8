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
        # Takes no memory by the run, and cannot be reckoned before it.
        return x + 0 * self.weight[0, : x.size(1)]


if __name__ == "__main__":
    torch.jit.script(Swapped(int(sys.argv[2]) << 18).eval()).save(sys.argv[1])

"""The model that tests/integration/test_compiled.py has compiled, with weights that are always the
same. `tandem export` reads it.
"""

import torch
from torch import nn


class Net(nn.Module):
    """Two outputs of two inputs, so that their order shows."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(12, dtype=torch.float32).reshape(4, 3) / 10)

    def forward(self, x, y):
        return torch.relu(x @ self.weight) + y, x.sum(1, keepdim=True)


class Wide(nn.Module):
    """So much for each row that compiled code shares it out among threads."""

    def forward(self, x):
        return torch.relu(x) * 2


class Images(nn.Module):
    """A convolution that can be done in more ways than one."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(9216, dtype=torch.float32).reshape(32, 32, 3, 3) % 7)

    def forward(self, x):
        return nn.functional.conv2d(x, self.weight, padding=1)


_made = []


def net_made_once():
    """The same from a function, which may give another model each time: it is to be called once."""
    if _made:
        raise AssertionError("the model was made twice")
    _made.append(Net())
    return _made[0]

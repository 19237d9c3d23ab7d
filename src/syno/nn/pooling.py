"""Average pooling that is quick on a CPU."""

from __future__ import annotations

from functools import reduce
from operator import add

import torch
from torch import Tensor, nn


class AveragePool(nn.AvgPool2d):
    """The average of blocks of `size` by `size`; blocks at the end may be cut short.

    The same as `nn.AvgPool2d(size, ceil_mode=True)`. Where blocks fit, rows are added, then
    columns: strided slices add several times faster than torch's pooling walks. Compilers are given
    the pooling itself, which they know.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size, ceil_mode=True)
        self.size = size

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, channels, h, w) to (batch, channels, h / size, w / size), rounded up."""
        size = self.size
        cut = input.shape[-2] % size or input.shape[-1] % size
        if cut or torch.compiler.is_compiling():
            return super().forward(input)
        rows = reduce(add, [input[:, :, place::size] for place in range(size)])
        columns = reduce(add, [rows[:, :, :, place::size] for place in range(size)])
        return columns * (1.0 / size**2)

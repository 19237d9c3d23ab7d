"""Average pooling: what torch computes, by other means."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from syno.nn.pooling import AveragePool


@pytest.mark.parametrize(("height", "width", "size"), [(8, 6, 2), (9, 6, 3), (7, 6, 2), (5, 5, 2)])
def test_it_computes_what_torch_computes(height: int, width: int, size: int) -> None:
    x = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    found, wanted = AveragePool(size)(x), nn.AvgPool2d(size, ceil_mode=True)(x)
    torch.testing.assert_close(found, wanted)
    ours, theirs = (torch.autograd.grad(y.square().sum(), x)[0] for y in (found, wanted))
    torch.testing.assert_close(ours, theirs)

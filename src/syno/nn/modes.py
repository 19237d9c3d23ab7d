"""Networks in evaluation mode for a while, and results that are there before a clock is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Put networks into evaluation mode; every module gets its own mode back.

    A frozen part may be in another mode than the whole.
    """
    modes = [(module, module.training) for network in networks for module in network.modules()]
    try:
        for network in networks:
            network.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def finish(*tensors: Tensor) -> None:
    """Wait until their devices have computed what was asked of them; a CPU always has."""
    for device in {each.device for each in tensors if each.is_cuda}:
        torch.cuda.synchronize(device)

"""Stands in for the `inductor` backend until the registry has that row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from syno.lower.backends import Backend

INDUCTOR = Backend("inductor", __name__, "torch.compile", compiles=True, packages=("torch",))


def compile_module(module: nn.Module, example_inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Return `module` under torch.compile, which compiles when first called."""
    del example_inputs
    compiled: Callable[..., Any] = torch.compile(module.eval(), dynamic=False)
    return compiled

"""Programs for training: of the ways to compute an operator, the one that trains fastest here.

The plan of an operator is chosen by predicted time of one forward on one image. A training step is
another matter: a batch, and a gradient whose kernels have speeds of their own (on a CPU that of a
grouped convolution was seen to take ten times as long as its forward). So the alternatives are
measured, forward and gradient, on the batch that they will see.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from syno.lower.backends import load_source, write_source
from syno.lower.choice import programs
from syno.lower.machine import this_machine
from syno.nn.modes import evaluating, finish
from syno.nn.module import SynthesizedOperator

_PROGRAMS = 8  # of each order: with the weights' products for free, and not
_REPEATS = 3
_HOPELESS = 1.3  # times the best so far, after one call

Context = Callable[[], AbstractContextManager[Any]]


def tune_for_training(
    network: nn.Module, example_batch: Tensor, *, context: Context = nullcontext
) -> None:
    """Give every operator of `network` the program that trains fastest on this machine, in place.

    `example_batch` is a batch as in training, in the same layout and on the same device; `context`
    makes what a forward runs in (autocast, for example). Takes about a second for each distinct
    operator and shape. What is computed is the same up to rounding.
    """
    known: dict[object, str] = {}
    for operator, x in _inputs(network, example_batch, context):
        key = (operator.op, tuple(sorted(operator.sizes.items())), x.shape, x.stride(), x.dtype)
        if key not in known:
            known[key] = _fastest(operator, x, context)
        operator.use_source(known[key])


def alternatives(operator: SynthesizedOperator, batch: int) -> Iterator[str]:
    """Yield distinct sources that compute an operator, the present one first."""
    yield operator.source
    seen = {operator.source}
    sizes, leading = dict(operator.sizes), str(operator.op.input[0])
    if leading in sizes:
        sizes[leading] = batch
    machine = this_machine(torch.get_num_threads())
    for inference in (False, True):
        found = programs(operator.op, sizes, machine=machine, inference=inference)
        for choice in islice(found, _PROGRAMS):
            source = write_source(choice.program, "torch")
            if source not in seen:
                seen.add(source)
                yield source


def _inputs(
    network: nn.Module, batch: Tensor, context: Context
) -> list[tuple[SynthesizedOperator, Tensor]]:
    """Return what every operator is given in one forward of `batch`."""
    found: list[tuple[SynthesizedOperator, Tensor]] = []
    handles = [
        each.register_forward_pre_hook(
            lambda module, inputs: found.append((module, inputs[0].detach()))
        )
        for each in network.modules()
        if isinstance(each, SynthesizedOperator)
    ]
    try:
        with evaluating(network), torch.no_grad(), context():
            network(batch)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _fastest(operator: SynthesizedOperator, x: Tensor, context: Context) -> str:
    """Return the source whose forward and gradient take the least time."""
    weights = [weight.detach().requires_grad_() for weight in operator.parameters()]
    best, chosen = float("inf"), operator.source
    for source in alternatives(operator, x.shape[0]):
        seconds = _seconds(load_source(source, "torch").forward, x, weights, context, best)
        if seconds < best:
            best, chosen = seconds, source
    return chosen


def _seconds(
    function: Callable[..., Tensor],
    x: Tensor,
    weights: Sequence[Tensor],
    context: Context,
    best: float,
) -> float:
    """Return the least time of a few steps; of one where that is hopelessly slow."""
    given = x.detach().requires_grad_(x.is_floating_point())

    def step() -> float:
        finish(x)
        start = time.perf_counter()
        with context():
            y = function(given, *weights)
        torch.autograd.grad(y.float().sum(), [given, *weights], allow_unused=True)
        finish(x)
        return time.perf_counter() - start

    step()  # the first call makes kernels
    first = step()
    if first > _HOPELESS * best:
        return first
    return min(first, *(step() for _ in range(_REPEATS - 1)))

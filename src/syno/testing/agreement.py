"""What every backend owes: it agrees with the reference, forward and in its gradients.

`answers` are made once, by the reference in float64; any number of backends is then compared:

    known = [answer(op, sizes, seed) for op, sizes in ...]
    assert disagreements("inductor", known) == []

All operators go into one module, which a compiler compiles once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from syno.ir.operator import Operator
from syno.ir.semantics import reference, reference_gradients
from syno.lower.backends import backend_named, lower

Floats = NDArray[np.float64]

# Differences relative to the largest number of a tensor. What a wrong operator computes is off by
# as much as the number itself.
SINGLE = 5e-5
DOUBLE = 1e-10


@dataclass(frozen=True)
class Answer:
    """What the reference says of an operator: `tensors` are x and the weights, all drawn.

    `gradients` are those of the sum of `output * direction`. Everything drawn is a number of
    float32, so that all backends see the same.
    """

    op: Operator
    sizes: Mapping[str, int]
    tensors: tuple[Floats, ...]
    output: Floats
    direction: Floats
    gradients: tuple[Floats, ...]


@dataclass(frozen=True)
class Disagreement:
    """A backend that computes something else: `part` says where, `error` how much (relative)."""

    backend: str
    part: str
    error: float
    text: str
    sizes: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.backend}, {self.part}: off by {self.error:.2g}\n{self.text}\n{self.sizes}"


def answer(op: Operator, sizes: Mapping[str, int], seed: int = 0) -> Answer:
    """Draw an input, weights and a direction, and ask the reference."""
    rng = np.random.default_rng(seed)

    def draw(shape: Sequence[int]) -> Floats:
        return rng.standard_normal(tuple(shape), dtype=np.float32).astype(np.float64)

    x = draw(op.input_shape(sizes))
    weights = {name: draw(shape) for name, shape in op.weight_shapes(sizes).items()}
    direction = draw(op.output_shape(sizes))
    grad_x, grads = reference_gradients(op, sizes, x, weights, direction)
    return Answer(
        op,
        sizes,
        (x, *weights.values()),
        reference(op, sizes, x, weights),
        direction,
        (grad_x, *grads.values()),
    )


def disagreements(
    backend: str, answers: Sequence[Answer], *, gradient: bool = False
) -> list[Disagreement]:
    """Return where `backend` computes something else than the reference.

    Outputs alone, as a network at inference asks for them; or with `gradient` outputs and
    gradients, for a backend that has them.
    """
    row = backend_named(backend)
    if not row.writes:
        return _compiled(backend, answers, gradient=gradient)
    functions = [lower(each.op, each.sizes, backend).function for each in answers]
    if "torch" not in row.packages:
        made = [run(*each.tensors) for run, each in zip(functions, answers, strict=True)]
        return _forward(backend, answers, made, DOUBLE)
    inputs = [_tensors(each.tensors, torch.float64, gradient) for each in answers]
    outputs = [run(*each) for run, each in zip(functions, inputs, strict=True)]
    return _judged(backend, answers, (inputs, outputs), DOUBLE, gradient=gradient)


class Bundle(nn.Module):
    """Many functions as one module: it takes the tensors of all, and returns an output of each."""

    def __init__(self, functions: Sequence[Callable[..., Tensor]], counts: Sequence[int]) -> None:
        super().__init__()
        self.functions = tuple(functions)
        self.counts = tuple(counts)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Call each function with its share of the tensors."""
        found, start = [], 0
        for function, count in zip(self.functions, self.counts, strict=True):
            found.append(function(*tensors[start : start + count]))
            start += count
        return tuple(found)


def _compiled(backend: str, answers: Sequence[Answer], *, gradient: bool) -> list[Disagreement]:
    inputs = [_tensors(each.tensors, torch.float32, gradient) for each in answers]
    functions = [lower(each.op, each.sizes, "torch").function for each in answers]
    bundle = Bundle(functions, [len(each) for each in inputs])
    flat = [tensor for each in inputs for tensor in each]
    outputs = backend_named(backend).load().compile_module(bundle, flat)(*flat)
    return _judged(backend, answers, (inputs, outputs), SINGLE, gradient=gradient)


def _judged(
    backend: str,
    answers: Sequence[Answer],
    made: tuple[list[list[Tensor]], Sequence[Tensor]],
    tolerance: float,
    *,
    gradient: bool,
) -> list[Disagreement]:
    inputs, outputs = made
    arrays = [each.detach().numpy() for each in outputs]
    found = _forward(backend, answers, arrays, tolerance)
    if gradient:
        directions = [
            torch.tensor(each.direction, dtype=y.dtype)
            for each, y in zip(answers, outputs, strict=True)
        ]
        torch.autograd.backward(list(outputs), directions)
        for each, tensors in zip(answers, inputs, strict=True):
            found += _gradients(backend, each, tensors, tolerance)
    return found


def _forward(
    backend: str, answers: Sequence[Answer], outputs: Sequence[Any], tolerance: float
) -> list[Disagreement]:
    errors = [_error(y, each.output) for each, y in zip(answers, outputs, strict=True)]
    return [
        Disagreement(backend, "output", error, str(each.op), each.sizes)
        for each, error in zip(answers, errors, strict=True)
        if not error <= tolerance
    ]


def _gradients(
    backend: str, known: Answer, tensors: Sequence[Tensor], tolerance: float
) -> list[Disagreement]:
    names = ("x", *known.op.weight_shapes(known.sizes))
    found = []
    for name, tensor, wanted in zip(names, tensors, known.gradients, strict=True):
        grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        error = _error(grad.numpy(), wanted)
        if not error <= tolerance:
            part = f"gradient of {name}"
            found.append(Disagreement(backend, part, error, str(known.op), known.sizes))
    return found


def _error(found: Any, wanted: Floats) -> float:
    """Return the largest difference by the largest number; infinity where shapes differ."""
    if tuple(found.shape) != wanted.shape:
        return float("inf")
    largest = float(np.max(np.abs(wanted))) or 1.0
    return float(np.max(np.abs(found - wanted))) / largest


def _tensors(arrays: Sequence[Floats], kind: torch.dtype, gradient: bool) -> list[Tensor]:
    return [torch.tensor(each, dtype=kind, requires_grad=gradient) for each in arrays]

"""Programs: what a plan becomes before any backend writes it down.

A program is a list of statements over values. A value is one operation on tensors with its shape
and its strides, as torch would lay it out, so that what copies and what is only a view can be told
without running anything. Backends print values or build them; `syno.lower.machine` says what they
cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from syno.lower.plan import Plan

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Extent:
    """A length, and how source spells it: the batch is read from x where the program runs."""

    length: int
    text: str


@dataclass(frozen=True)
class Slide:
    """One spatial axis of a convolution: `size` places, zeros before and behind, step, dilation."""

    size: int = 1
    left: int = 0
    right: int = 0
    stride: int = 1
    dilation: int = 1

    def length(self, length: int) -> int:
        """Return how many results an axis of `length` gives."""
        reach = self.dilation * (self.size - 1) + 1
        return (length + self.left + self.right - reach) // self.stride + 1


@dataclass(frozen=True, eq=False)
class Value:
    """One operation: `op` is its name in `OPERATIONS`, `options` what it takes beside operands.

    `strides` count elements; 0 is a dimension that repeats. `fixed` tells that x has no part in it:
    it is made of weights alone.
    """

    op: str
    operands: tuple[Value, ...]
    shape: Shape
    strides: Shape
    options: Mapping[str, Any] = field(default_factory=dict)
    fixed: bool = False

    @property
    def elements(self) -> int:
        """Number of elements of the result."""
        return prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie in memory in the order of the indices."""
        return all(
            length == 1 or stride == wanted
            for length, stride, wanted in zip(
                self.shape, self.strides, contiguous(self.shape), strict=True
            )
        )

    @property
    def copies(self) -> bool:
        """Whether a reshape has to copy, because its operand does not lie as it should."""
        if self.op != "reshape":
            return False
        (source,) = self.operands
        return viewed(source.shape, source.strides, self.shape) is None


OPERATIONS: Mapping[str, str] = {
    "input": "x or a weight",
    "reshape": "other lengths, the same order of elements; copies where they do not lie in it",
    "permute": "axes in another order; a view",
    "roll": "one axis moved round by a distance",
    "slice": "from `start` to `stop` in steps along one axis; a view",
    "pad": "zeros before and behind, for each axis",
    "window": "all windows of one axis, padded; the places stand last; a view of the padded",
    "diagonal": "along one axis, place p of another axis moved by p: what a window would have read",
    "repeat": "an axis more, last, that repeats; a view",
    "sum": "the sum over some axes",
    "multiply": "an elementwise product, broadcast",
    "add": "an elementwise sum of any number of operands",
    "einsum": "products summed, by labels",
    "convolution": "one or two spatial axes, groups",
    "linear": "a matrix product with the rows of a matrix, over the last axis",
    "matmul": "a batched matrix product",
    "densify": "the kernel of a grouped convolution as that of one without groups, zero elsewhere",
}
"""Every operation that a program may hold; a backend has to know each, or say that it does not."""


@dataclass(frozen=True)
class Statement:
    """A value that gets a line of its own, or the head of a stage of the plan, by its number."""

    value: Value | None = None
    stage: int | None = None


@dataclass(frozen=True)
class Program:
    """A plan as statements; `inputs` are x and the weights, `result` is y."""

    plan: Plan
    inputs: tuple[Value, ...]
    statements: tuple[Statement, ...]
    result: Value

    def values(self) -> list[Value]:
        """Return all values that the result needs, each after its operands."""
        found: dict[Value, None] = {}

        def visit(value: Value) -> None:
            if value not in found:
                for operand in value.operands:
                    visit(operand)
                found[value] = None

        visit(self.result)
        return list(found)


def contiguous(shape: Sequence[int]) -> Shape:
    """Return the strides of elements that lie in the order of their indices."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))


def viewed(shape: Shape, strides: Shape, new: Shape) -> Shape | None:
    """Return the strides of a reshape that is a view, or None where it has to copy."""
    chunks: list[tuple[int, int]] = []  # runs of axes that lie one in another: elements, inner step
    for length, stride in zip(shape, strides, strict=True):
        if length == 1:
            continue
        if chunks and chunks[-1][1] == length * stride:
            chunks[-1] = (chunks[-1][0] * length, stride)
        else:
            chunks.append((length, stride))
    found: list[int] = []
    place, left = len(chunks) - 1, chunks[-1][0] if chunks else 1
    step = chunks[-1][1] if chunks else 1
    for length in reversed(new):
        if length == 1:
            found.append(step)
            continue
        if left == 1 and place > 0:
            place -= 1
            left, step = chunks[place]
        if left % length:
            return None
        found.append(step)
        left //= length
        step *= length
    return tuple(reversed(found))

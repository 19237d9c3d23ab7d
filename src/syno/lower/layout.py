"""Tensors in the making: an expression, and which labels stand in which axis.

Reshapes and permutations are only noted as labels move; `rearrange` writes them down, and writes
nothing where the memory is already in the wanted order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from syno.ir.coord import Coord
from syno.lower.pieces import Labels

Axes = tuple[Labels, ...]
Extent = Callable[[Labels], str]


@dataclass(frozen=True)
class Tensor:
    """A Python expression and its axes; the labels of an axis are joined, highest first."""

    code: str
    axes: Axes

    @property
    def labels(self) -> Labels:
        """All labels, in memory order."""
        return tuple(label for axis in self.axes for label in axis)


class Dialect(Protocol):
    """How one array library spells the operations that every backend needs."""

    def reshape(self, code: str, shape: Sequence[str]) -> str: ...
    def permute(self, code: str, order: Sequence[int]) -> str: ...
    def roll(self, code: str, axis: int, distance: int) -> str: ...
    def slice(self, code: str, axis: int, step: int) -> str: ...
    def window(self, code: str, axis: int, rank: int, size: int) -> str: ...
    def repeat(self, code: str, rank: int, size: int) -> str: ...
    def sum(self, code: str, axes: Sequence[int]) -> str: ...
    def einsum(self, spec: str, *codes: str) -> str: ...


def rearrange(tensor: Tensor, target: Axes, dialect: Dialect, extent: Extent) -> Tensor:
    """Return `tensor` with its labels in the axes `target`, by the fewest reshapes that do it."""
    if tensor.axes == target:
        return tensor
    source, wanted = tensor.labels, tuple(label for axis in target for label in axis)
    if set(source) != set(wanted) or len(source) != len(wanted):
        raise AssertionError(f"rearranging {source} cannot give {wanted}")
    code = tensor.code
    axes: Axes = tensor.axes
    if source != wanted:
        units = _runs(source, wanted)
        order = sorted(range(len(units)), key=lambda place: source.index(units[place][0]))
        apart = tuple(units[place] for place in order)
        code = _reshape(code, axes, apart, dialect, extent)
        code = dialect.permute(code, [order.index(place) for place in range(len(units))])
        axes = tuple(units)
    return Tensor(_reshape(code, axes, target, dialect, extent), target)


def _reshape(code: str, old: Axes, new: Axes, dialect: Dialect, extent: Extent) -> str:
    """Return `code` reshaped from the axes `old` to `new`; as it is where no length changes."""
    shape = [extent(axis) for axis in new]
    return code if shape == [extent(axis) for axis in old] else reshaped(code, shape, dialect)


def reshaped(code: str, shape: Sequence[str], dialect: Dialect) -> str:
    """Return `code` reshaped; of two reshapes in a row only the last is written."""
    return dialect.reshape(re.sub(r"\.reshape\([^()]*\)$", "", code), shape)


def _runs(source: Labels, wanted: Labels) -> list[Labels]:
    """Cut `wanted` into the longest runs that stand side by side in `source` as well."""
    runs: list[list[Coord]] = []
    for label in wanted:
        follows = runs and source.index(runs[-1][-1]) + 1 == source.index(label)
        if follows:
            runs[-1].append(label)
        else:
            runs.append([label])
    return [tuple(run) for run in runs]


def gathered(axes: Axes, labels: Labels) -> Axes:
    """Return `axes` with `labels` in one axis of their own, where the first of them was."""
    found: list[Labels] = []
    first = next(label for axis in axes for label in axis if label in labels)
    for axis in axes:
        run: list[Coord] = []
        for label in axis:
            if label in labels:
                if run:
                    found.append(tuple(run))
                    run = []
                if label is first:
                    found.append(labels)
            else:
                run.append(label)
        if run or not axis:
            found.append(tuple(run))
    return tuple(found)


def singles(labels: Iterable[Coord]) -> Axes:
    """Return one axis for each label."""
    return tuple((label,) for label in labels)

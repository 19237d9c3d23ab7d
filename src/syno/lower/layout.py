"""Tensors in the making: a value, and which labels stand in which of its axes.

Reshapes and permutations are only noted as labels move; `rearrange` makes values of them, and none
where the memory is already in the wanted order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from syno.ir.coord import Coord
from syno.lower.pieces import Labels
from syno.lower.program import Extent, Value
from syno.lower.values import permute, reshape

Axes = tuple[Labels, ...]
ExtentOf = Callable[[Labels], Extent]


@dataclass(frozen=True)
class Tensor:
    """A value and its axes; the labels of an axis are joined, highest first.

    Axes may have been cut or joined since the value was made: `written` brings it up to date.
    """

    value: Value
    axes: Axes

    @property
    def labels(self) -> Labels:
        """All labels, in memory order."""
        return tuple(label for axis in self.axes for label in axis)


def rearrange(tensor: Tensor, target: Axes, extent: ExtentOf) -> Tensor:
    """Return `tensor` with its labels in the axes `target`, by the fewest reshapes that do it."""
    source, wanted = tensor.labels, tuple(label for axis in target for label in axis)
    if set(source) != set(wanted) or len(source) != len(wanted):
        raise AssertionError(f"rearranging {source} cannot give {wanted}")
    value = tensor.value
    if source != wanted:
        units = _runs(source, wanted)
        order = sorted(range(len(units)), key=lambda place: source.index(units[place][0]))
        value = reshape(value, [extent(units[place]) for place in order])
        value = permute(value, [order.index(place) for place in range(len(units))])
    return Tensor(reshape(value, [extent(axis) for axis in target]), target)


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


def gathered_many(axes: Axes, labels: frozenset[Coord]) -> Axes:
    """Return `axes` cut so that each of `labels` has an axis of its own."""
    for label in [label for axis in axes for label in axis if label in labels]:
        axes = gathered(axes, (label,))
    return axes


def by_kind(axis: Labels, chosen: Labels) -> list[Labels]:
    """Cut an axis where labels among `chosen` meet others."""
    runs: list[list[Coord]] = []
    for label in axis:
        if runs and (runs[-1][-1] in chosen) == (label in chosen):
            runs[-1].append(label)
        else:
            runs.append([label])
    return [tuple(run) for run in runs]


def singles(labels: Iterable[Coord]) -> Axes:
    """Return one axis for each label."""
    return tuple((label,) for label in labels)

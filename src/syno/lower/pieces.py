"""The labels that tensors carry: atomic pieces of coordinates, and the views that relate them.

A tensor is labelled with one coordinate for each of its dimensions. Walking the steps of an
operator backwards, from x to y, every primitive becomes a view that replaces labels by labels.
"""

from __future__ import annotations

from dataclasses import dataclass

from syno.ir.coord import Coord
from syno.ir.cuts import Cuts
from syno.ir.operator import Operator
from syno.ir.steps import steps

Labels = tuple[Coord, ...]


@dataclass(frozen=True, eq=False)
class View:
    """One primitive seen from the input side: a tensor labelled `before` becomes one of `after`.

    `op` is the primitive undone: split (reshape apart), merge (reshape together), shift (roll),
    stride (slice), unfold (window), expand (broadcast). `number` is its place among the views.
    """

    number: int
    op: str
    before: Labels
    after: Labels


@dataclass(frozen=True)
class Factor:
    """A weight, or the product of two weights, with its labels; `axes` groups them by dimension."""

    name: str
    axes: tuple[Labels, ...]
    parts: tuple[Factor, ...] = ()

    @property
    def labels(self) -> frozenset[Coord]:
        """All labels, whatever the dimension they stand in."""
        return frozenset(label for axis in self.axes for label in axis)


def views_of(op: Operator) -> tuple[View, ...]:
    """Return the views of `op`, in an order that leads from x to y."""
    found = [step for step in reversed(steps(op)) if step.primitive not in ("contract", "reduce")]
    return tuple(
        View(number, step.primitive, step.yields, step.consumes)
        for number, step in enumerate(found)
    )


def factors_of(op: Operator) -> tuple[Factor, ...]:
    """Return the weights of `op`, their dimensions cut into the pieces that any other part uses."""
    cuts = Cuts(node for top in op.coordinates for node in top.walk())
    return tuple(
        Factor(f"w{number}", tuple(cuts.pieces(coord) for coord in index))
        for number, index in enumerate(op.weights, start=1)
    )

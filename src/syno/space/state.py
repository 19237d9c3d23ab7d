"""States of the search: the current coordinates, the weights so far and what has been used."""

from __future__ import annotations

from dataclasses import dataclass

from syno.ir.coord import Coord
from syno.ir.operator import Index, Operator
from syno.ir.size import Size

COUNTED = ("split", "merge", "shift", "stride", "unfold", "expand", "reduce", "contract")


@dataclass(frozen=True)
class Move:
    """One legal step: `primitive` on `operands`; a contraction keeps only `inner` on the data.

    `finish` takes the coordinates as the input dimensions, in the order of `operands`.
    """

    primitive: str
    operands: Index = ()
    arg: Size | int | None = None
    inner: Index = ()

    def __str__(self) -> str:
        inside = ", ".join(coord.key for coord in self.operands)
        arg = "" if self.arg is None else f"; {self.arg}"
        kept = f"; keeps {', '.join(coord.key for coord in self.inner)}" if self.inner else ""
        return f"{self.primitive}({inside}{arg}{kept})"


@dataclass(frozen=True)
class State:
    """A partial operator; two orders of independent steps give equal states."""

    coords: frozenset[Coord]
    weights: frozenset[Index]
    counts: tuple[int, ...]
    operator: Operator | None = None

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return sum(self.counts)

    def count(self, primitive: str) -> int:
        """Return how often `primitive` was used."""
        return self.counts[COUNTED.index(primitive)]

    def counting(self, primitive: str) -> tuple[int, ...]:
        """Return the counts after one more use of `primitive`."""
        place = COUNTED.index(primitive)
        return (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])

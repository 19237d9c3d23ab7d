"""Multiply-adds of an abstract state, from which weights see which pieces.

They are those of the plans of `syno.lower.plan`: one weight is multiplied with everything at once;
of two, either comes first, and sums that the other does not see are over then, or both are made one
where a rank ties them. A window that the first weight does not see can wait, unless one that lies
below it on the same place cannot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from syno.ir.size import product
from syno.lower.parts import Numbers
from syno.space.abstract import MIXED, SUM, WHOLE, Abstract, Piece
from syno.space.spec import Spec

UNKNOWN = (0, 10**30)
CUT = 3  # the kind of the halves of a sum: they are over together

Classes = tuple[tuple[int, int, str, int], ...]
"""Pieces by (kind, weights that see them, read | window | gone, packed product of sizes)."""


class Arrangement(NamedTuple):
    """Two windows on one place, by the weights that see them; x is read through `above` first."""

    below: int
    above: int


class Operations:
    """The multiply-adds over all places of a spec; remembered by what decides them."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        kept = [size for size in spec.output_sizes if size in spec.kept_sizes]
        self.over = product(kept).packed
        self.times = spec.occurrences or (1,) * len(spec.bindings)
        self._numbers = Numbers(spec.bindings)
        self._known: dict[tuple[object, ...], tuple[int, int]] = {}

    def bounds(self, now: Abstract, windows: Collection[int]) -> tuple[int, int]:
        """Return (low, high) where the coordinates at `windows` are windows, or may become some.

        No further sum or weight may come. Low lets all windows wait, high none.
        """
        return self._of(now, windows, None)

    def exact(
        self, now: Abstract, windows: Collection[int], arrangement: Arrangement | None
    ) -> tuple[int, int]:
        """Return the multiply-adds with two windows on one place, or with none above another.

        As (low, high), which differ where more windows could be arranged than that tells.
        """
        several = len(windows) > 2 or bool(now.windows)
        return self._of(now, windows, None if several else (arrangement,))

    def most(self, now: Abstract) -> int:
        """Return a bound for every completion of `now` without further sums.

        No stage takes more than all there is; there are no more stages than weights and sums.
        """
        sizes = [piece.size for piece in (*now.gone, *now.windows)]
        sizes += [coord[0] for coord in now.coords]
        stages = self.spec.limits.weights + self.spec.limits.reductions
        return stages * self._total([[self.over + sum(sizes)]])

    def least(self, now: Abstract) -> int:
        """Return a bound for every completion without further sums: of what the first weight takes.

        Its stage runs over all that it sees; a rank is left out where both weights are made one.
        """
        found = [piece for piece, _ in _pieces(now, ()) if piece.seen & 1]
        rank = self.spec.limits.rank
        ranks = [piece for piece in found if piece.kind == SUM] if rank is None else []
        size = sum(piece.size for piece in found) - sum(piece.size for piece in ranks)
        return self._total([[self.over + size]]) // (rank or 1)

    def _of(
        self,
        now: Abstract,
        windows: Collection[int],
        arranged: tuple[Arrangement | None] | None,
    ) -> tuple[int, int]:
        weights = self.spec.limits.weights - now.left.contracts
        halves = 0
        classes: dict[tuple[int, int, str], int] = {}
        for piece, where in _pieces(now, windows):
            kind = CUT if piece.kind == SUM and piece.part != WHOLE else piece.kind
            halves |= piece.seen if kind == CUT else 0
            key = kind, piece.seen, where
            classes[key] = classes.get(key, 0) + piece.size
        found = tuple(sorted((*each, size) for each, size in classes.items()))
        wanted = (weights, found, halves, arranged)
        if wanted not in self._known:
            self._known[wanted] = self._bounds(weights, found, halves, arranged)
        return self._known[wanted]

    def _bounds(
        self,
        weights: int,
        classes: Classes,
        halves: int,
        arranged: tuple[Arrangement | None] | None,
    ) -> tuple[int, int]:
        blurred = any(kind == MIXED or (kind != 0 and not mask) for kind, mask, *_ in classes)
        if weights not in (1, 2) or blurred or (halves and self.spec.limits.merges > 1):
            return UNKNOWN
        if weights == 1:
            one = self._total([[self.over + sum(size for *_, size in classes)]])
            return one, one
        as_one = self._as_one(classes)
        if arranged is not None:
            one = self._total([*self._orders(classes, halves, arranged[0]), *as_one])
            return one, one
        low = self._total([*self._orders(classes, halves, None), *as_one])
        high = self._total([*self._orders(classes, halves, None, waits=False), *as_one])
        return low, high

    def _orders(
        self,
        classes: Classes,
        halves: int,
        arrangement: Arrangement | None,
        *,
        waits: bool = True,
    ) -> list[list[int]]:
        """Return the packed domains of both stages, for either order of two weights."""
        found = []
        for first, second in ((1, 2), (2, 1)):
            one = two = self.over
            held = arrangement.above if arrangement and arrangement.below & first else None
            for kind, mask, where, size in classes:
                early = where == "window" and (not waits or mask == held)
                here = mask & first or where == "read" or early
                over = here and not (halves if kind == CUT else mask) & second
                one += size if here else 0
                two += 0 if over and kind in (SUM, CUT) else size
            found.append([one, two])
        return found

    def _as_one(self, classes: Classes) -> list[list[int]]:
        """Return the packed domains where a rank, which x does not read, ties the weights."""
        rank = sum(size for kind, _, where, size in classes if (kind, where) == (SUM, "gone"))
        if not rank:
            return []
        weights = sum(size for _, mask, _, size in classes if mask)
        return [[weights, self.over + sum(size for *_, size in classes) - rank]]

    def _total(self, ways: list[list[int]]) -> int:
        """Return the sum over all places of the cheapest of `ways`, each the domains of stages."""
        columns = [[self._numbers(size) for size in way] for way in ways]
        return sum(
            times * min(sum(stage[number] for stage in way) for way in columns)
            for number, times in enumerate(self.times)
        )


def _pieces(now: Abstract, windows: Collection[int]) -> Iterable[tuple[Piece, str]]:
    """Yield every piece with where it ends."""
    for piece in now.gone:
        yield piece, "gone"
    for piece in now.windows:
        yield piece, "window"
    for place, coord in enumerate(now.coords):
        for piece in coord[1]:
            yield piece, "window" if place in windows else "read"

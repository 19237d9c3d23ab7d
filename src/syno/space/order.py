"""One order for steps that can be taken in several: what comes first, and what never comes.

Without it, an operator with many independent steps would be drawn more often than one with few. Of
two steps that do not need each other, a weight comes first, then a merge, then a split; splits go
from the low digits to the high ones. Left out is what makes no more of an operator than fewer steps
do: to join two sums that nothing tells apart, or the halves of a merge. No operator is lost.
"""

from __future__ import annotations

from itertools import combinations

from syno.space.abstract import (
    HIGH,
    LOW,
    SUM,
    WHOLE,
    Abstract,
    Coordinate,
    Piece,
    is_weighted,
    without,
)
from syno.space.distance import Distance
from syno.space.spec import Spec


class Order:
    """Tells which steps keep to the order."""

    def __init__(self, spec: Spec, distance: Distance, *, weighted: bool) -> None:
        self.spec = spec
        self.distance = distance
        self.weighted = weighted
        self.sums = frozenset(size.packed for size in spec.reduction_sizes)
        self.parts = spec.limits.merges == 1  # else halves of several merges could be confused

    def may_contract(self, now: Abstract, inner: tuple[int, ...], outer: tuple[int, ...]) -> bool:
        """Tell whether a weight may come now: not where it could have come before the last step.

        What it keeps has not been joined: it sees the digits as well before that.
        """
        coords = now.coords
        joined = [place for place in outer if len(coords[place][1]) > 1]
        if joined and sum(len(coords[place][1]) for place in outer) <= self.spec.limits.outer:
            return False
        if self.parts and not self._fits_merge(now, inner, outer):
            return False
        alone = not joined and any(len(coord[1]) > 1 for coord in coords)
        if alone and now.left.merges == self.spec.limits.merges:
            return False
        return not self._comes_first(now, inner, outer)

    def _fits_merge(self, now: Abstract, inner: tuple[int, ...], outer: tuple[int, ...]) -> bool:
        """Tell whether a weight tells the halves of a merge apart, where both are current."""
        halves = [
            place
            for place, coord in enumerate(now.coords)
            if len(coord[1]) == 1 and coord[1][0].part != WHOLE
        ]
        if len(halves) < 2 or len({now.coords[place][1][0].seen for place in halves}) > 1:
            return True
        one, two = halves
        return (one in inner, one in outer) != (two in inner, two in outer)

    def _comes_first(self, now: Abstract, inner: tuple[int, ...], outer: tuple[int, ...]) -> bool:
        """Tell whether this second weight could be the first, and is less than that."""
        limits, left = self.spec.limits, now.left
        if left.contracts != limits.weights - 1:
            return False
        if left.merges != limits.merges or left.splits != limits.splits:
            return False
        chosen = [now.coords[place] for place in outer]
        if any(piece.kind == SUM or piece.seen for coord in chosen for piece in coord[1]):
            return False
        first = (
            sorted((piece.size, piece.kind) for piece in now.gone),
            sorted((c[0], p.kind) for c in now.coords for p in c[1] if p.seen),
        )
        second = (
            sorted((piece.size, piece.kind) for coord in chosen for piece in coord[1]),
            sorted((now.coords[n][0], now.coords[n][1][0].kind) for n in inner),
        )
        return second < first

    def may_merge(self, now: Abstract, coord: Coordinate) -> bool:
        """Tell whether a merge may come now: before splits, unless it cuts what was joined."""
        return len(coord[1]) > 1 or all(len(each[1]) == 1 for each in now.coords)

    def may_split(self, now: Abstract, high: int, low: int) -> bool:
        """Tell whether a split may come now, of the coordinates at two places.

        Before a weight that still has to come, it joins what that weight drops.
        """
        above, below = now.coords[high][1], now.coords[low][1]
        stays = any(p.kind == SUM and not self.distance.is_rank(p.size) for p in (*above, *below))
        early = stays and self.weighted and not now.left.merges
        if early and not all(map(is_weighted, now.coords)):
            return False
        if len(above) > 1 and self._joins_in_any_order((*above, *below)):
            return False
        if not now.left.contracts and self._is_second(now, high, low):
            return False
        return not (len(above) == 1 and self._is_one(above[0], below[0]))

    def _is_second(self, now: Abstract, high: int, low: int) -> bool:
        """Tell whether digits would be joined beside others with which they end in one place."""
        if len(self.distance.targets) != 1:
            return False
        pair = (*now.coords[high][1], *now.coords[low][1])
        if self.distance.can_slide(sum(piece.size for piece in pair)):
            return False
        others = [coord[1] for coord in without(now.coords, (high, low)) if len(coord[1]) > 1]
        return bool(others) and all(self._joins_in_any_order((*each, *pair)) for each in others)

    def _joins_in_any_order(self, pieces: tuple[Piece, ...]) -> bool:
        """Tell whether any of the pieces can be joined one after the other."""
        sizes = [piece.size for piece in pieces]
        return all(
            self.distance.can_join(sum(some))
            for count in range(2, len(sizes))
            for some in combinations(sizes, count)
        )

    def _is_one(self, high: Piece, low: Piece) -> bool:
        """Tell whether nothing tells two digits apart."""
        if high.seen != low.seen or high.tied != low.tied:
            return False
        if high.part == low.part == WHOLE:
            return high.kind == low.kind == SUM and high.size + low.size in self.sums
        return self.parts and (high.part, low.part) == (HIGH, LOW)

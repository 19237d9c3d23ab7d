"""Where merged coordinates are cut: the digits that several parts of one coordinate share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cmp_to_key

from syno.ir.coord import Coord, quotient, remainder
from syno.ir.operator import digits
from syno.ir.size import ONE, Size


class Cuts:
    """The boundaries inside every merged coordinate of an operator.

    `edges` maps a coordinate to its inner boundaries in rising order: a part of it that runs from
    edge to neighbouring edge is an elementary piece.
    """

    def __init__(self, nodes: Iterable[Coord]) -> None:
        ranges: dict[Coord, list[tuple[Size, Size]]] = {}
        for node in nodes:
            if node.op in ("quotient", "remainder"):
                whole, start, size = digits(node)
                ranges.setdefault(whole, []).append((start, start * size))
        self.edges = {whole: _sorted_edges(whole, found) for whole, found in ranges.items()}

    def pieces(self, coord: Coord) -> tuple[Coord, ...]:
        """Return the elementary pieces of `coord`, highest first; itself if it is not cut."""
        whole, start, size = digits(coord)
        if whole not in self.edges:
            return (coord,)
        edges = [ONE, *self.edges[whole], whole.size]
        if start not in edges or start * size not in edges:
            return (coord,)
        low, high = edges.index(start), edges.index(start * size)
        found = []
        for below, above in zip(edges[low:high], edges[low + 1 : high + 1], strict=True):
            upper = whole if below is ONE else quotient(whole, below)
            found.append(upper if above is whole.size else remainder(upper, above / below))
        return tuple(reversed(found))


def _sorted_edges(whole: Coord, ranges: list[tuple[Size, Size]]) -> list[Size]:
    edges = {edge for pair in ranges for edge in pair} - {ONE, whole.size}
    known = set(ranges)

    def order(one: Size, two: Size) -> int:
        return _order(one, two, known)

    return sorted(sorted(edges), key=cmp_to_key(order))


def _order(one: Size, two: Size, known: set[tuple[Size, Size]]) -> int:
    """Compare two boundaries by divisibility, as far as symbols alone can tell."""
    if one is two:
        return 0
    if (one, two) in known:
        return -1
    if (two, one) in known:
        return 1
    powers = (two / one).exponents
    primary = sum(power for name, power in powers.items() if name[0].isupper())
    return -1 if (primary, sum(powers.values())) > (0, 0) else 1

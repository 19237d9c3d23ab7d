"""What coordinates and weights are made of, as far as bounds on costs need it.

Sizes are packed ints here: a product of sizes is a sum, and a bound is a monomial until the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from syno.ir.coord import Coord
from syno.ir.operator import Index, digits
from syno.ir.size import Size

Packed = int
Vector = tuple[int, ...]
"""One number for each binding."""


class Numbers:
    """The values of packed sizes under several bindings; all of them are remembered."""

    def __init__(self, bindings: Sequence[Mapping[str, int]]) -> None:
        self.bindings = tuple(bindings)
        self.zero: Vector = (0,) * len(self.bindings)
        self._known: dict[Packed, Vector] = {}

    def __call__(self, packed: Packed) -> Vector:
        """Return the value under each binding; SizeError where one is no whole number."""
        found = self._known.get(packed)
        if found is None:
            size = Size(packed)
            found = self._known[packed] = tuple(size.evaluate(each) for each in self.bindings)
        return found

    def sum(self, packed: Iterable[Packed]) -> Vector:
        """Return the sum of the values."""
        vectors = [self(each) for each in packed]
        return tuple(map(sum, zip(*vectors, strict=True))) if vectors else self.zero


@dataclass(frozen=True)
class Parts:
    """Iterators in one coordinate: all `leaves`; those `hidden`, which are part of a window's step.

    `pieces` are digits of iterators that the size of any tensor labelled so has as a factor.
    `windows` has, for each window with no stride in it and no digits in its step, all iterators in
    it and those of its step: closed, it is smaller by the latter.
    """

    leaves: frozenset[Coord]
    hidden: frozenset[Coord]
    pieces: tuple[Coord, ...]
    windows: tuple[tuple[frozenset[Coord], frozenset[Coord]], ...]


@cache
def parts_of(coord: Coord) -> Parts:
    """Return the iterators in `coord`."""
    leaves = frozenset(coord.leaves())
    nodes = [node for node in coord.walk() if node.op == "unfold"]
    hidden = frozenset(leaf for node in nodes for leaf in node.args[1].leaves())
    windows = tuple(
        (frozenset(node.leaves()), frozenset(node.args[1].leaves()))
        for node in nodes
        if not strides_in((node,)) and not _has_digits(node.args[1])
    )
    return Parts(leaves, hidden, tuple(_visible(coord)), windows)


def _has_digits(coord: Coord) -> bool:
    return any(node.op in ("quotient", "remainder") for node in coord.walk())


def _visible(coord: Coord) -> list[Coord]:
    if not digits(coord)[0].args:
        return [coord]
    if coord.op in ("quotient", "remainder"):
        return []  # a digit of something composed: which iterators it holds, sizes do not tell
    args = coord.args[:1] if coord.op == "unfold" else coord.args
    return [each for arg in args for each in _visible(arg)]


def wholly(pieces: Iterable[Coord]) -> frozenset[Coord]:
    """Return the iterators of which all digits are among the given ones."""
    found: dict[Coord, int] = {}
    for each in set(pieces):
        whole = digits(each)[0]
        size = whole.size.packed
        now = found.get(whole, 0)
        found[whole] = size if size in (now, each.size.packed) else now + each.size.packed
    return frozenset(whole for whole, size in found.items() if size == whole.size.packed)


@dataclass(frozen=True)
class Seen:
    """What one weight is indexed by.

    `entries` is its number of entries (at least, where it sees several digits of one iterator);
    `digits` tells how much of an iterator it sees (in `pieces`), `mixed` are the iterators inside
    of anything else, `composed` the product of those other coordinates, `hidden` are iterators in
    the step of a window.
    """

    entries: Packed
    digits: Mapping[Coord, Packed]
    pieces: tuple[Coord, ...]
    mixed: frozenset[Coord]
    composed: Packed
    leaves: frozenset[Coord]
    hidden: frozenset[Coord]
    strides: frozenset[Coord]
    is_plain: bool


@lru_cache(maxsize=65536)
def seen_by(index: Index) -> Seen:
    """Return what a weight with `index` sees."""
    found: dict[Coord, Packed] = {}
    mixed: set[Coord] = set()
    composed, wholes = 0, set()
    for coord in index:
        whole = digits(coord)[0]
        if whole in wholes:  # two digits of one coordinate: the first alone is counted
            mixed.update(whole.leaves())
        elif not whole.args:
            found[whole] = coord.size.packed
        else:
            mixed.update(whole.leaves())
            composed += coord.size.packed
        wholes.add(whole)
    parts = [parts_of(coord) for coord in index]
    return Seen(
        entries=sum(found.values()) + composed,
        digits=found,
        pieces=tuple(coord for coord in index if digits(coord)[0] in found),
        mixed=frozenset(mixed),
        composed=composed,
        leaves=frozenset().union(*(each.leaves for each in parts)),
        hidden=frozenset().union(*(each.hidden for each in parts)),
        strides=strides_in(index),
        is_plain=not any(whole.args for whole in wholes),
    )


def strides_in(coords: Iterable[Coord]) -> frozenset[Coord]:
    """Return all strides in `coords`."""
    return frozenset(node for top in coords for node in top.walk() if node.op == "stride")


def entries_of(index: Index) -> Packed:
    """Return the number of entries of a weight with `index`."""
    return sum(coord.size.packed for coord in index)

"""Abstract states: what of a state decides whether, and in how many ways, it can be completed.

Sizes, what kind of iterators a coordinate holds, which weights see it, and the budgets; neither
names nor the order of digits. Many states have one abstract state, so that what is learned of one
holds for all. Steps come in three phases, and every operator has an order of that kind: sums first,
by size; then weights, splits and merges; then, place by place, windows and shifts. This needs that
places stay apart (see `syno.space.distance`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

OUTPUT, SUM, MIXED = 0, 1, 2
WHOLE, HIGH, LOW = 0, 1, 2


class Piece(NamedTuple):
    """A part of a coordinate that no split joined.

    `size` is packed, `kind` OUTPUT, SUM or MIXED, `seen` the weights from whose index it follows,
    as bits. `tied` are weights that it belongs to and of which all coordinates, or their parts, are
    current: another weight that sees them all would absorb it. `part` tells that it is one half of
    a merge, of which no other part is known.
    """

    size: int
    kind: int
    seen: int = 0
    tied: int = 0
    part: int = WHOLE


Coordinate = tuple[int, tuple[Piece, ...]]
"""(packed size, pieces): one piece, or several after splits, the highest digit first."""


class Left(NamedTuple):
    """The budgets that are left."""

    steps: int
    reduces: int
    contracts: int
    splits: int
    merges: int
    unfolds: int
    shifts: int


class Abstract(NamedTuple):
    """An abstract state.

    `phase` is one of `SUMS`, `CHANNELS`, `PLACES`, `DONE`; `at` is the first size a further sum may
    have, or the place whose turn it is. `gone` are the pieces that weights have dropped, `windows`
    those that places read already: with the coordinates they decide the multiply-adds. `lacking`
    are the numbers of the places that still need a window, `terms` is the packed product of sums.
    `forbidden` are arrangements of windows with too many or too few multiply-adds: two on one place
    (by the weights that see them, the lower one first), or None for windows on places of their own.
    """

    phase: int
    at: int
    coords: tuple[Coordinate, ...]
    gone: tuple[Piece, ...]
    windows: tuple[Piece, ...]
    left: Left
    lacking: tuple[int, ...]
    terms: int = 0
    forbidden: tuple[tuple[int, int] | None, ...] = ()


SUMS, CHANNELS, PLACES, DONE = range(4)


class Change(NamedTuple):
    """One abstract move: `primitive` on the coordinates at `operands`.

    `argument` is a size (packed) to reduce or to merge by, the distance of a shift, or the place of
    a window; `inner` are the operands that a contraction keeps. `pass` is no step: the next phase
    or place begins. For `finish`, `operands` are the coordinates that are the input's channels.
    """

    primitive: str
    operands: tuple[int, ...] = ()
    argument: int = 0
    inner: tuple[int, ...] = ()


def kind(coord: Coordinate) -> int:
    """Return OUTPUT, SUM or MIXED."""
    pieces = coord[1]
    if len(pieces) == 1:
        return pieces[0].kind
    kinds = {piece.kind for piece in pieces}
    return kinds.pop() if len(kinds) == 1 else MIXED


def seen(coord: Coordinate) -> int:
    """Return the weights, as bits, from whose index the coordinate follows."""
    mask = -1
    for piece in coord[1]:
        mask &= piece.seen
    return mask


def tied(coord: Coordinate) -> int:
    """Return the weights, as bits, of which it holds a part and all others are current."""
    mask = 0
    for piece in coord[1]:
        mask |= piece.tied
    return mask


def is_weighted(coord: Coordinate) -> bool:
    """Tell whether a weight sees every sum in it."""
    return all(piece.seen or piece.kind == OUTPUT for piece in coord[1])


def single(size: int, kind: int) -> Coordinate:
    """Return the coordinate that is one iterator."""
    return size, (Piece(size, kind),)


def of(pieces: Iterable[Piece]) -> Coordinate:
    """Return the coordinate of some pieces; below the highest digit, the order is forgotten."""
    top, *rest = pieces
    if not rest:
        return top.size, (top,)
    return top.size + sum(piece.size for piece in rest), (top, *sorted(rest))


@cache
def marked(coord: Coordinate, weight: int, *, whole: bool) -> Coordinate:
    """Return the coordinate after `weight` has seen it; `whole` tells that all of it stays."""
    tie = weight if whole else 0
    return of(p._replace(seen=p.seen | weight, tied=p.tied | tie) for p in coord[1])


@cache
def released(coord: Coordinate, weights: int) -> Coordinate:
    """Return the coordinate where `weights` have lost a part of theirs."""
    return of(piece._replace(tied=piece.tied & ~weights) for piece in coord[1])


def contracted(
    coords: tuple[Coordinate, ...], inner: tuple[int, ...], outer: tuple[int, ...], weight: int
) -> tuple[list[Coordinate], list[Piece]]:
    """Return what is left by a weight, first what it does not see, then `inner`, and what is gone.

    A weight that drops nothing keeps all its coordinates, and may be absorbed by another one; one
    of which a part is dropped here may not be any more.
    """
    dropped = [marked(coords[place], weight, whole=False) for place in outer]
    kept = [marked(coords[place], weight, whole=not outer) for place in inner]
    rest = [*without(coords, (*inner, *outer)), *kept]
    lost = 0
    for coord in dropped:
        lost |= tied(coord)
    if lost:
        rest = [released(coord, lost) for coord in rest]
    return rest, [piece._replace(tied=0) for coord in dropped for piece in coord[1]]


@cache
def joined(high: Coordinate, low: Coordinate) -> Coordinate:
    """Return the split of two coordinates."""
    return of((*high[1], *low[1]))


def cut(coord: Coordinate, block: int) -> tuple[Coordinate, Coordinate]:
    """Return quotient and remainder by a packed size."""
    whole = Piece(coord[0], kind(coord), seen(coord), tied(coord))
    high = whole._replace(size=coord[0] - block, part=HIGH)
    return of([high]), of([whole._replace(size=block, part=LOW)])


def choices(
    groups: list[tuple[list[int], int, int]],
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield (inner, outer) positions: what a weight sees and keeps, and what it sees and drops.

    Of a group, (places, most inner, most outer), the first are taken: it does not matter which.
    """
    if not groups:
        yield (), ()
        return
    (places, most_inner, most_outer), *rest = groups
    for kept, dropped in choices(rest):
        for out in range(min(most_outer, len(places)) + 1):
            for inside in range(min(most_inner, len(places) - out) + 1):
                yield (*places[out : out + inside], *kept), (*places[:out], *dropped)


def grouped(coords: Iterable[Coordinate]) -> list[tuple[Coordinate, list[int]]]:
    """Return the distinct coordinates with the positions where they stand."""
    found: dict[Coordinate, list[int]] = {}
    for place, coord in enumerate(coords):
        found.setdefault(coord, []).append(place)
    return list(found.items())


def without(coords: tuple[Coordinate, ...], places: Iterable[int]) -> list[Coordinate]:
    """Return the coordinates that do not stand at `places`."""
    left = set(places)
    return [coord for place, coord in enumerate(coords) if place not in left]

"""The moves of abstract states: everything that may lead on, and nothing that surely does not.

What is left out here has no completion; what is offered may still turn out to have none. Switches
of taste are respected as far as they can be seen here; the rest is checked on the states.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from syno.ir.size import Size
from syno.space.abstract import (
    CHANNELS,
    DONE,
    HIGH,
    OUTPUT,
    PLACES,
    SUM,
    SUMS,
    Abstract,
    Change,
    Coordinate,
    Piece,
    choices,
    contracted,
    cut,
    grouped,
    is_weighted,
    joined,
    kind,
    seen,
    single,
    tied,
    without,
)
from syno.space.distance import ONLY_SUMS, TIES, UNTIED, Budget, Distance
from syno.space.operations import Arrangement, Operations
from syno.space.order import Order
from syno.space.prunes import LARGEST_OUTER, STRONGEST_POOLING, Taste
from syno.space.spec import Spec

Step = tuple[Change, Abstract]


class Changes:
    """The abstract moves of one spec under one taste.

    With `ordered`, steps come in one order where they could come in several: right from the first
    state on, but not from one that was reached in another order.
    """

    def __init__(
        self, spec: Spec, taste: Taste, distance: Distance, *, ordered: bool = True
    ) -> None:
        self.spec = spec
        self.distance = distance
        self.operations = Operations(spec)
        self.sums = tuple(size.packed for size in spec.reduction_sizes)
        self.blocks = tuple(size.packed for size in spec.block_sizes)
        self.targets = tuple(sorted(distance.targets))
        self.places = tuple(size for size in spec.output_sizes if distance.apart[size])
        self.weighted = taste.has("unweighted-sum")
        self.order = Order(spec, distance, weighted=self.weighted) if ordered else None
        self.needs_outer = taste.has("contraction-without-outer")
        self.needs_inner = taste.has("contraction-without-inner")
        self.scales = not taste.has("output-scale")
        self.pools = taste.has("strong-pooling")
        self.large_outer = taste.has("large-outer-product")
        self._bares: dict[Coordinate, tuple[int, int]] = {}
        self._most: dict[int, int] = {}
        self._least: dict[int, int] = {}

    def __call__(self, now: Abstract) -> Iterator[Step]:
        """Yield (change, abstract state behind it)."""
        if now.phase == SUMS:
            yield from self._reduces(now)
        elif now.phase == CHANNELS:
            yield from self._finishes(now)
            if now.left.steps > 0:
                yield from self._contracts(now)
                yield from self._splits(now)
                yield from self._merges(now)
        elif now.phase == PLACES:
            yield from self._moves_over_places(now)

    # --------------------------------------------------------------------------------------- sums

    def _reduces(self, now: Abstract) -> Iterator[Step]:
        on = now._replace(phase=CHANNELS, at=0, terms=0)
        if self._is_alive(on) and self._is_enough(on):
            yield Change("pass"), on
        if not (now.left.reduces and now.left.steps):
            return
        left = now.left._replace(steps=now.left.steps - 1, reduces=now.left.reduces - 1)
        for at in range(now.at, len(self.sums)):
            size = self.sums[at]
            terms = now.terms + size
            if not self.spec.fits_domain(Size(terms)):
                continue
            coords = tuple(sorted((*now.coords, single(size, SUM))))
            behind = now._replace(at=at, coords=coords, left=left, terms=terms)
            if self._is_alive(behind):
                yield Change("reduce", (), size), behind

    # ----------------------------------------------------------------------------------- channels

    def _contracts(self, now: Abstract) -> Iterator[Step]:
        if not now.left.contracts:
            return
        used = self.spec.limits.weights - now.left.contracts
        weight = 1 << used
        left = now.left._replace(steps=now.left.steps - 1, contracts=now.left.contracts - 1)
        outer_most = self.spec.limits.outer
        groups = [
            (places, len(places) * self._may_keep(coord), outer_most * self._may_drop(coord))
            for coord, places in grouped(now.coords)
        ]
        for inner, outer in choices(groups):
            if len(outer) > outer_most or not self._may_contract(now, inner, outer, used):
                continue
            coords, gone = contracted(now.coords, inner, outer, weight)
            behind = now._replace(
                coords=tuple(sorted(coords)), gone=tuple(sorted((*now.gone, *gone))), left=left
            )
            if self._is_alive(behind) and self._may_fit(behind):
                yield Change("contract", tuple(sorted((*inner, *outer))), 0, inner), behind

    def _may_contract(
        self, now: Abstract, inner: tuple[int, ...], outer: tuple[int, ...], used: int
    ) -> bool:
        if (self.needs_outer and not outer) or (self.needs_inner and not inner):
            return False
        chosen = [now.coords[place] for place in (*inner, *outer)]
        if self.least(sum([coord[0] for coord in chosen])) < self.spec.limits.weight_parameters:
            return False
        if not chosen or (not self.scales and all(kind(coord) == OUTPUT for coord in chosen)):
            return False
        if outer and not self._fits_outer(chosen[len(inner) :]):
            return False
        if any(self._absorbs(now, chosen, 1 << each) for each in range(used)):
            return False
        return self.order is None or self.order.may_contract(now, inner, outer)

    def _fits_outer(self, dropped: list[Coordinate]) -> bool:
        """Tell whether what a weight drops is not too large, and no rank larger than one."""
        size = sum([coord[0] for coord in dropped])
        if self.large_outer and self.most(size) > LARGEST_OUTER:
            return False
        if self.spec.limits.rank is None:
            return True
        ranks = [p.seen for coord in dropped for p in coord[1] if p.kind == SUM]
        return len(ranks) == len(set(ranks))  # sums that tie the same weights are one

    def _may_keep(self, coord: Coordinate) -> bool:
        """In order, a weight sees digits before they are joined."""
        return self.order is None or len(coord[1]) == 1

    def _may_drop(self, coord: Coordinate) -> bool:
        """A sum that leaves x has to stay in another weight, and to have the size of a rank."""
        return all(p.seen and self.distance.is_rank(p.size) for p in coord[1] if p.kind == SUM)

    def _absorbs(self, now: Abstract, chosen: list[Coordinate], weight: int) -> bool:
        """Tell whether of an earlier weight and one of `chosen` one says nothing new."""
        if all(seen(coord) & weight for coord in chosen):
            return True
        own = [coord for coord in now.coords if tied(coord) & weight]
        return bool(own) and all(chosen.count(c) >= own.count(c) for c in set(own))

    def _splits(self, now: Abstract) -> Iterator[Step]:
        if not now.left.splits:
            return
        left = now.left._replace(steps=now.left.steps - 1, splits=now.left.splits - 1)
        places = [place for _, each in grouped(now.coords) for place in each[:2]]
        found = set()
        for high, low in combinations(places, 2):
            one, two = now.coords[high], now.coords[low]
            if self.weighted and not (is_weighted(one) and is_weighted(two)):
                continue
            if not self.distance.can_join(one[0] + two[0]):
                continue
            ways = [(high, low), (low, high)]
            if self.order is not None:
                ways = [way for way in ways if self.order.may_split(now, *way)]
            for way in ways:
                key = (now.coords[way[0]], now.coords[way[1]])
                coords = (*without(now.coords, way), joined(*key))
                behind = now._replace(coords=tuple(sorted(coords)), left=left)
                if key not in found and self._is_alive(behind):
                    found.add(key)
                    yield Change("split", way), behind

    def _merges(self, now: Abstract) -> Iterator[Step]:
        if not now.left.merges:
            return
        left = now.left._replace(steps=now.left.steps - 1, merges=now.left.merges - 1)
        for coord, places in grouped(now.coords):
            if self.weighted and not is_weighted(coord):
                continue
            if self.order is not None and not self.order.may_merge(now, coord):
                continue
            for block in self.blocks:
                if block == coord[0] or not self.spec.is_legal(Size(coord[0] - block)):
                    continue
                coords = (*without(now.coords, places[:1]), *cut(coord, block))
                behind = now._replace(coords=tuple(sorted(coords)), left=left)
                if self._is_alive(behind):
                    yield Change("merge", (places[0],), block), behind

    # ------------------------------------------------------------------------------------- places

    def _finishes(self, now: Abstract) -> Iterator[Step]:
        """Yield the ways to read the channels of the input, with the rest as windows."""
        if len(now.coords) < len(self.targets):
            return
        if self.weighted and not all(map(is_weighted, now.coords)):
            return
        if self.pools and self.most(_unweighted(now)) > STRONGEST_POOLING:
            return
        for chosen in combinations(range(len(now.coords)), len(self.targets)):
            sizes = tuple(sorted(now.coords[place][0] for place in chosen))
            windows = without(now.coords, chosen)
            if sizes != self.targets or not all(map(self._may_slide, windows)):
                continue
            behind = self._placing(now, chosen)
            if behind is not None:
                yield Change("channels", chosen), behind

    def _placing(self, now: Abstract, channels: tuple[int, ...]) -> Abstract | None:
        """Return the state in which the rest become windows; None where no arrangement fits."""
        places = [place for place in range(len(now.coords)) if place not in channels]
        left = [now.coords[place] for place in places]
        forbidden = self._forbidden(now, places) if self.spec.limits.flops else ()
        if len(forbidden) == 1 + len(_arrangements(left)):
            return None
        plain = not forbidden and len({each[0] for each in left}) == len(set(left))
        windows = [(each[0], () if plain else each[1]) for each in left]
        return Abstract(
            PLACES, 0, tuple(sorted(windows)), (), (), now.left, now.lacking, 0, forbidden
        )

    def _forbidden(self, now: Abstract, places: list[int]) -> tuple[Arrangement | None, ...]:
        """Return the arrangements of windows that have too many or too few multiply-adds."""
        found = [None, *_arrangements([now.coords[place] for place in places])]
        return tuple(
            each for each in found if not self._is_within(self.operations.exact(now, places, each))
        )

    def _may_slide(self, coord: Coordinate) -> bool:
        return kind(coord) == SUM and self.distance.can_slide(coord[0])

    def _may_fit(self, now: Abstract) -> bool:
        """Tell whether the multiply-adds may fit, where no sum may come."""
        if self.spec.limits.flops is None:
            return True
        if now.left.contracts:
            return self.operations.least(now) <= self.spec.limits.flops[1]
        windows = [n for n, each in enumerate(now.coords) if self._may_slide(each)]
        return self._is_within(self.operations.bounds(now, windows))

    def _is_within(self, bounds: tuple[int, int]) -> bool:
        if self.spec.limits.flops is None:
            return True
        least, most = self.spec.limits.flops
        return bounds[0] <= most and least <= bounds[1]

    def _is_enough(self, now: Abstract) -> bool:
        limit = self.spec.limits.flops
        return limit is None or self.operations.most(now) >= limit[0]

    def _moves_over_places(self, now: Abstract) -> Iterator[Step]:
        if now.at == len(self.places):
            some = now.left.steps < self.spec.limits.steps
            if some and not now.coords and not now.lacking:
                yield Change("finish"), now._replace(phase=DONE)
            return
        if now.at not in now.lacking:
            before = tuple(piece._replace(part=HIGH) for piece in now.windows)
            yield Change("pass"), now._replace(at=now.at + 1, windows=before)
        if now.left.steps:
            yield from self._unfolds(now)
            yield from self._shifts(now)

    def _unfolds(self, now: Abstract) -> Iterator[Step]:
        if not now.left.unfolds:
            return
        left = now.left._replace(steps=now.left.steps - 1, unfolds=now.left.unfolds - 1)
        lacking = tuple(place for place in now.lacking if place != now.at)
        for coord, places in grouped(now.coords):
            coords = tuple(without(now.coords, places[:1]))
            behind = now._replace(coords=coords, left=left, lacking=lacking)
            if now.forbidden:
                window = _window(coord)
                if _arranged(now.windows, window) in now.forbidden:
                    continue
                behind = behind._replace(windows=(*now.windows, window))
            if self._can_place(behind):
                yield Change("unfold", (places[0],), now.at), behind

    def _shifts(self, now: Abstract) -> Iterator[Step]:
        if not now.left.shifts:
            return
        left = now.left._replace(steps=now.left.steps - 1, shifts=now.left.shifts - 1)
        behind = now._replace(left=left)
        values = self.spec.values(self.places[now.at]) or (1,)
        for distance in self.spec.shifts if self._can_place(behind) else ():
            if all(distance % value for value in values):
                yield Change("shift", (now.at,), distance), behind

    def _can_place(self, now: Abstract) -> bool:
        """Tell whether the steps left suffice for the windows left, and those for the places."""
        count = len(now.coords)
        return count <= min(now.left.steps, now.left.unfolds) and len(now.lacking) <= count

    # ---------------------------------------------------------------------------------- distances

    def _is_alive(self, now: Abstract) -> bool:
        left = now.left
        budget = Budget(
            left.merges,
            left.contracts,
            left.unfolds,
            left.reduces if now.phase == SUMS else 0,
            left.splits,
            len(now.lacking),
            left.contracts > 0 and self._all_seen(now),
        )
        return self.distance(map(self._bare, now.coords), budget) <= left.steps

    def _bare(self, coord: Coordinate) -> tuple[int, int]:
        """Return (size, flags) of a coordinate for the distance."""
        found = self._bares.get(coord)
        if found is None:
            found = self._bares[coord] = (coord[0], self._flags(coord))
        return found

    def _all_seen(self, now: Abstract) -> bool:
        """Tell whether one weight has seen everything: it would absorb any further one."""
        mask = -1
        for coord in now.coords:
            mask &= seen(coord)
        return mask > 0

    def _flags(self, coord: Coordinate) -> int:
        flags = tied(coord) * TIES
        if kind(coord) == SUM:
            flags |= 0 if seen(coord) or len(coord[1]) > 1 else UNTIED
            flags |= ONLY_SUMS if self.spec.limits.rank is not None else 0
        return flags

    def most(self, packed: int) -> int:
        """Return the largest value of a packed size; 1 where it is no whole number."""
        if packed not in self._most:
            self._most[packed] = max(self.spec.values(Size(packed)) or (1,))
        return self._most[packed]

    def least(self, packed: int) -> int:
        """Return the least value of a packed size; 1 where it is no whole number."""
        if packed not in self._least:
            self._least[packed] = min(self.spec.values(Size(packed)) or (1,))
        return self._least[packed]


def _unweighted(now: Abstract) -> int:
    """Return the packed product of sums that no weight sees."""
    pieces = [*now.windows, *(piece for coord in now.coords for piece in coord[1])]
    return sum(piece.size for piece in pieces if piece.kind == SUM and not piece.seen)


def _arrangements(windows: list[Coordinate]) -> list[Arrangement]:
    """Return the ways in which one of two windows can lie above the other, by what sees them."""
    if len(windows) != 2:
        return []
    one, two = (_window(each).seen for each in windows)
    return [Arrangement(*each) for each in dict.fromkeys(((one, two), (two, one)))]


def _window(coord: Coordinate) -> Piece:
    return Piece(coord[0], SUM, seen(coord))


def _arranged(before: tuple[Piece, ...], window: Piece) -> tuple[int, int] | bool | None:
    """Return how a second window stands to the first; False for the first.

    A first one that was marked lies over another place.
    """
    if not before:
        return False
    return None if before[0].part == HIGH else (before[0].seen, window.seen)

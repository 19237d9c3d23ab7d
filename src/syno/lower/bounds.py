"""Bounds on what an operator costs, whole or in the making: cheap, and never wrong.

What every argument rests on: at any moment of any plan the labels of the running tensor are a cut
through the operator between x and y. A cut holds every output that no weight to come brings in,
and every reduction that a weight to come still reads, unless it is hidden in a window that is not
open yet. The size of a tensor is at least the product of what its labels hold: views keep it, but
for windows (hidden until opened) and strides (the unread elements come on top).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from operator import floordiv, mul

from syno.ir.coord import Coord
from syno.ir.operator import Index, Operator, digits
from syno.ir.size import ONE, Size
from syno.lower.parts import (
    Numbers,
    Packed,
    Parts,
    Seen,
    Vector,
    entries_of,
    parts_of,
    seen_by,
    strides_in,
    wholly,
)


@dataclass(frozen=True)
class Bounds:
    """Bounds over all bindings: multiply-adds of one forward, and weight entries."""

    flops_low: int
    flops_high: int
    parameters_low: int
    parameters_high: int


@dataclass(frozen=True)
class Ahead:
    """What is known about the steps to come. The defaults promise what most spaces hold.

    No weight will be indexed by one of `places` nor by anything made of it; `fixed` are sizes of
    output dimensions that stand in no coordinate (the batch). `windows` are the sizes of the
    reductions that may become the step of a window, whole or in part (None: any; empty: none).
    `terms` is the most that all reductions together may sum over, for each binding. `growth` is the
    largest product of the strides to come. `outputs_stay` promises that no output was or will
    be expanded, or becomes the step of a window.

    `input` is the shape of x and `opened` the largest product of the steps of windows to come, for
    each binding (None: unknown, either). `merges` tells whether merges may come. A coordinate made
    of reductions alone leaves the data only where another weight has it, and where its size is
    `rank` under every binding (None: whatever its size).
    """

    places: frozenset[Coord] = frozenset()
    fixed: tuple[Size, ...] = ()
    windows: tuple[Size, ...] | None = None
    terms: tuple[int, ...] | None = None
    growth: Size = ONE
    outputs_stay: bool = True
    input: tuple[Size, ...] | None = None
    opened: tuple[int, ...] | None = None
    merges: bool = True
    rank: int | None = None


ANYTHING = Ahead()


@dataclass(frozen=True)
class Future:
    """What may come: so many weights and reductions, a factor for the latter, and what is known."""

    weights: int
    reductions: int
    factor: Vector
    ahead: Ahead


_COMPLETE = Ahead(windows=())
_Sums = list[list[Packed]]
"""Alternatives, each a sum of products: what a plan of one shape costs."""


class Limit:
    """Bounds for whole and for partial operators under the bindings of `numbers`."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def complete(self, op: Operator) -> tuple[Vector, Vector]:
        """Return a lower and an upper bound of the multiply-adds of `op`, for each binding."""
        seen = tuple(map(seen_by, op.weights))
        low = self._least(_Low(op.data, seen, _COMPLETE, is_complete=True).orders())
        return low, self._least(_High(op.data, seen, _COMPLETE).orders())

    def future(
        self, reductions: Sequence[Size], left: int, weights_left: int, ahead: Ahead
    ) -> Future:
        """Return what may come, with the most that reductions to come multiply a domain by."""
        factor = [1] * len(self._numbers.zero)
        values = [self._numbers(size.packed) for size in reductions]
        if left and values:
            factor = [max(each) ** left for each in zip(*values, strict=True)]
        return Future(weights_left, left if values else 0, tuple(factor), ahead)

    def partial(
        self, coords: Sequence[Coord], weights: Iterable[Index], future: Future
    ) -> tuple[Vector, Vector, Vector, Vector]:
        """Return (least flops, most flops, least entries, most entries) for each binding."""
        indices = tuple(weights)
        seen = tuple(map(seen_by, indices))
        lowest = _Low(coords, seen, future.ahead)
        low = self._least(lowest.orders())
        if future.weights:
            is_rank = self._is_rank(future)
            more = [self._least(each) for each in lowest.orders_with_more(future.weights, is_rank)]
            low = tuple(map(min, low, *[tuple(map(max, *more, more[0]))]))
        highest = _High(coords, seen, future.ahead)
        high = self._least(highest.orders())
        entries = self._numbers.sum(map(entries_of, indices))
        if not future.weights and not future.reductions:
            return low, high, entries, entries
        domain, weight = self._future(highest, indices, future)
        stages = future.weights + (future.reductions > 0)
        high = tuple(h + stages * d for h, d in zip(high, domain, strict=True))
        most = tuple(e + future.weights * w for e, w in zip(entries, weight, strict=True))
        return low, high, entries, most

    def _future(
        self, highest: _High, indices: tuple[Index, ...], future: Future
    ) -> tuple[Vector, Vector]:
        """Return the largest domain and the most entries that a step to come can have.

        Seen from y, a domain to come is the cut of now with all reductions to come. Seen from x, it
        is the input with all windows to come open, and what weights to come have taken away. It
        holds all places, and no weight sees them.
        """
        factor = self._factor(highest.reductions, future)
        domain = tuple(map(mul, self._numbers(highest.cut()), factor))
        weight = tuple(map(mul, self._numbers(highest.weighable()), factor))
        taken = highest.taken(indices, future.weights, self._is_rank(future))
        ahead = future.ahead
        if taken is None or ahead.input is None or ahead.opened is None:
            return domain, weight
        read = sum(size.packed for size in ahead.input) + taken
        read += ahead.growth.packed + highest.strides()
        domain = tuple(map(min, domain, map(mul, self._numbers(read), ahead.opened)))
        places = self._numbers(highest.fixed + _packed(highest.places))
        return domain, tuple(map(min, weight, map(floordiv, domain, places)))

    def _is_rank(self, future: Future) -> Callable[[Size], bool]:
        rank, numbers = future.ahead.rank, self._numbers
        return lambda size: rank is None or set(numbers(size.packed)) == {rank}

    def _factor(self, reductions: frozenset[Coord], future: Future) -> Vector:
        """Return the most that reductions to come multiply a domain by, under each binding."""
        terms = future.ahead.terms
        if terms is None:
            return future.factor
        now = self._numbers(_packed(reductions))
        left = (max(1, most // value) for most, value in zip(terms, now, strict=True))
        return tuple(map(min, future.factor, left))

    def _least(self, alternatives: _Sums) -> Vector:
        vectors = [self._numbers.sum(each) for each in alternatives]
        return vectors[0] if len(vectors) == 1 else tuple(map(min, *vectors))


class _Low:
    """Lower bounds: what no plan can do without."""

    def __init__(
        self,
        coords: Sequence[Coord],
        seen: tuple[Seen, ...],
        ahead: Ahead,
        *,
        is_complete: bool = False,
    ) -> None:
        self.seen = seen
        self.fixed = sum(size.packed for size in ahead.fixed)
        parts = [parts_of(coord) for coord in coords]
        self.leaves = frozenset().union(*(each.leaves for each in parts))
        holders: list[Parts | Seen] = [*seen, *parts]
        hidden = frozenset().union(*(each.hidden for each in holders))
        kept = frozenset().union(self.leaves, *(each.leaves for each in seen))
        if is_complete or not ahead.outputs_stay:  # what is expanded, now or later, is in no stage
            sure = holders if is_complete else holders[: len(seen)]
            kept = wholly(piece for each in sure for piece in each.pieces)
        self.outputs = [leaf for leaf in kept - hidden if leaf.op == "output"]
        self.data: dict[Coord, Packed] = {}
        for piece in (piece for each in parts for piece in each.pieces):
            leaf = digits(piece)[0]
            if leaf not in hidden and _stays(leaf, ahead):
                self.data[leaf] = self.data.get(leaf, 0) + piece.size.packed
        places = places_of(ahead)
        self.places = [leaf for leaf in self.outputs if leaf in places]
        self.merges = ahead.merges

    def orders(self) -> _Sums:
        """Return a lower bound for each order of the weights there are, if no more come.

        No weight: the last sum has every output and at least one reduction. One weight: see `last`.
        Two: either is first, or they are multiplied first. More: the last stage alone is counted,
        unless no two of them can be multiplied first.
        """
        seen, whole = self.seen, self.fixed + _packed(self.outputs)
        if not seen:
            sums = [leaf for leaf in self.leaves if leaf.op == "reduce"]
            return [[whole + leaf.size.packed] for leaf in sums] or [[]]
        found: _Sums = []
        for place, last in enumerate(seen):
            firsts = (*seen[:place], *seen[place + 1 :])
            found.append([self.last(last), *(self.first(each) for each in firsts)])
        pairs = [pair for pair in combinations(seen, 2) if self.tied(*pair)]
        if pairs and len(seen) > 2:
            return [[whole]]
        return found + [self.paired(*pair) for pair in pairs]

    def orders_with_more(self, more: int, is_rank: Callable[[Size], bool]) -> list[_Sums]:
        """Return alternatives for every weight there is, if one to `more` others come.

        The weight is contracted last; or it meets the data at all places, and the last stage, which
        has every output, is another one; or, where a reduction may tie it to another weight, it is
        multiplied with that first. The product keeps all but such reductions; of two weights in
        all, it is contracted last. Each of the lists bounds the whole.
        """
        whole = self.fixed + _packed(self.outputs)
        found: list[_Sums] = [[[whole]]]
        for each in self.seen:
            ways = [[self.last(each)], [self.everywhere(each), whole]]
            tied = [size for leaf, size in each.digits.items() if self.may_tie(leaf, size, is_rank)]
            if tied:
                only = len(self.seen) + more == 2
                ways.append([each.entries, self.last(each) - sum(tied) if only else whole])
            found.append(ways)
        return found

    def may_tie(self, leaf: Coord, seen: Packed, is_rank: Callable[[Size], bool]) -> bool:
        """Tell whether what a weight sees of a reduction may be missing in the data in the end."""
        cut = self.merges or seen != leaf.size.packed
        goes = cut or leaf not in self.leaves or is_rank(leaf.size)
        return leaf.op == "reduce" and goes

    def last(self, weight: Seen) -> Packed:
        """Bound the stage of `weight`, no other being left: all its labels, and all outputs."""
        return self.fixed + weight.entries + sum(_rest(leaf, weight) for leaf in self.outputs)

    def first(self, weight: Seen) -> Packed:
        """Bound the stage of `weight` with the data while another one is left.

        There are its labels, the outputs that no other weight brings in or the data has, and the
        reductions of the data that the other one reads (of several, they may have been summed).
        """
        total = self.fixed + weight.entries
        others = [each for each in self.seen if each is not weight]
        later = frozenset().union(*(each.leaves for each in others))
        for leaf in self.outputs:
            if leaf not in later:
                total += _rest(leaf, weight)
            elif leaf not in weight.leaves:
                total += self.data.get(leaf, 0)
        if len(others) > 1:
            return total
        read = frozenset(leaf for leaf in others[0].digits if leaf.op == "reduce")
        return total + sum(self.data.get(leaf, 0) for leaf in read - weight.leaves)

    def everywhere(self, weight: Seen) -> Packed:
        """Bound the stage of `weight` with the data, whatever is left: its labels and the places.

        No weight to come reads a place, so the data has it, unless another weight of now reads it.
        """
        later = frozenset().union(*(each.leaves for each in self.seen if each is not weight))
        places = (leaf for leaf in self.places if leaf not in later)
        return self.fixed + weight.entries + sum(_rest(leaf, weight) for leaf in places)

    def tied(self, one: Seen, two: Seen) -> list[Coord]:
        """Return the reductions that two weights share and the data does not have."""
        shared = (leaf for leaf in one.digits if leaf in two.digits)
        return [leaf for leaf in shared if leaf.op == "reduce" and leaf not in self.leaves]

    def paired(self, one: Seen, two: Seen) -> list[Packed]:
        """Bound a product of two weights (all labels of both) and its stage (with all outputs)."""
        held = {**two.digits, **one.digits}
        for leaf in one.digits:
            if two.digits.get(leaf) == leaf.size.packed:
                held[leaf] = leaf.size.packed
        product = sum(held.values()) + one.composed
        mixed = one.mixed | two.mixed
        rest = (leaf.size.packed - held.get(leaf, 0) for leaf in self.outputs if leaf not in mixed)
        return [product, self.fixed + product - _packed(self.tied(one, two)) + sum(rest)]


class _High:
    """Upper bounds: what some plan achieves."""

    def __init__(self, coords: Sequence[Coord], seen: tuple[Seen, ...], ahead: Ahead) -> None:
        self.coords, self.seen, self.ahead = coords, seen, ahead
        self.fixed = sum(size.packed for size in ahead.fixed)
        self.leaves = frozenset().union(*(parts_of(coord).leaves for coord in coords))
        everything = self.leaves.union(*(each.leaves for each in seen))
        self.reductions = frozenset(leaf for leaf in everything if leaf.op == "reduce")
        self.whole = self.fixed + _packed(everything - self.reductions)
        self.places = places_of(ahead)

    def cut(self) -> Packed:
        """Return a bound for the tensors of the steps to come, but for new reductions."""
        own = sum(coord.size.packed for coord in self.coords)
        return self.fixed + own + self.ahead.growth.packed

    def weighable(self) -> Packed:
        """Return a bound for the entries of a weight to come, but for new reductions."""
        free = (coord.size.packed for coord in self.coords if coord not in self.ahead.places)
        return sum(free) + self.ahead.growth.packed

    def taken(
        self, indices: tuple[Index, ...], weights: int, is_rank: Callable[[Size], bool]
    ) -> Packed | None:
        """Return the most that weights to come take away from the data; None where it is unknown.

        They take outputs, and reductions that another weight has: if only one is to come, one of
        now. A merge could take parts of either.
        """
        if not weights:
            return 0
        free = self.leaves - self.reductions - self.places
        known = {coord for index in indices for coord in index}
        sums = [c for c in known if parts_of(c).leaves <= self.leaves & self.reductions]
        ranks = [coord.size.packed for coord in sums if is_rank(coord.size)]
        if weights > 1 or (self.ahead.merges and (free or len(ranks) < len(sums))):
            return None
        return _packed(free) + sum(ranks)

    def orders(self) -> _Sums:
        """Return what plans cost, each a sum of stages.

        Without weights there is one sum. A weight that sees iterators and digits of them alone
        bars no view. So one weight is one stage, or two, the other reductions being summed before;
        and two are contracted in any order, or multiplied first where a reduction ties them.
        Anything else: a stage for each weight and one sum, none larger than all iterators with the
        strides.
        """
        seen, sums = self.seen, _packed(self.reductions)
        if not seen:
            return [[self.whole + sums]] if self.reductions else [[]]
        if len(seen) > 2 or not all(each.is_plain for each in seen):
            return [[self.whole + sums + self.strides()] * (len(seen) + 1)]
        if len(seen) == 1:
            pooled = self.whole + _packed(self.reductions & seen[0].leaves)
            return [[self.whole + sums], [self.fixed + _packed(self.leaves), pooled]]
        return [self.ordered(*seen), self.ordered(*seen[::-1]), *self.paired(*seen)]

    def ordered(self, first: Seen, second: Seen) -> list[Packed]:
        """Return the stages of two plain weights in this order.

        The first meets the data with every window open, but for those that it reads nothing of and
        the second every reduction; the second all outputs and the reductions that it reads.
        """
        closed: set[Coord] = set()
        for coord in self.coords:
            for leaves, step in parts_of(coord).windows:
                if not leaves & first.leaves and leaves & self.reductions <= second.leaves:
                    closed |= step
        brought = (size for leaf, size in first.digits.items() if leaf not in self.leaves)
        data = self.fixed + _packed(self.leaves - closed) + sum(brought)
        return [data, self.whole + _packed(self.reductions & second.leaves)]

    def paired(self, one: Seen, two: Seen) -> _Sums:
        """Return the product of two plain weights that are tied, and its stage with all data."""
        shared = one.digits.keys() & two.digits.keys()
        tied = {
            leaf for leaf in shared & self.reductions - self.leaves if _is_whole(leaf, one, two)
        }
        if not tied:
            return []
        union = {**one.digits, **two.digits, **{leaf: leaf.size.packed for leaf in shared}}
        return [[sum(union.values()), self.whole + _packed(self.reductions - tied)]]

    def strides(self) -> Packed:
        """Return the product of all strides."""
        nodes = strides_in(self.coords).union(*(each.strides for each in self.seen))
        return sum(node.size.packed - node.args[0].size.packed for node in nodes)


def places_of(ahead: Ahead) -> frozenset[Coord]:
    """Return the outputs that stand in a place and are not part of the step of a window."""
    parts = [parts_of(coord) for coord in ahead.places]
    hidden = frozenset().union(*(each.hidden for each in parts))
    return frozenset(leaf for each in parts for leaf in each.leaves - hidden if leaf.op == "output")


def _packed(leaves: Iterable[Coord]) -> Packed:
    return sum(leaf.size.packed for leaf in leaves)


def _rest(leaf: Coord, weight: Seen) -> Packed:
    """Return the part of an iterator that `weight` certainly does not see."""
    return 0 if leaf in weight.mixed else leaf.size.packed - weight.digits.get(leaf, 0)


def _is_whole(leaf: Coord, *weights: Seen) -> bool:
    """Tell whether all of `weights` see the whole of an iterator."""
    return all(each.digits[leaf] == leaf.size.packed for each in weights)


def _stays(leaf: Coord, ahead: Ahead) -> bool:
    """Tell whether no window to come hides `leaf`, as part of its step."""
    if leaf.op == "output":
        return ahead.outputs_stay
    return ahead.windows is not None and leaf.size not in ahead.windows

"""Bounds on what an operator costs, whole or in the making: cheap, and never wrong.

What every argument rests on: at any moment of any plan the labels of the running tensor are a cut
through the operator between x and y. A cut holds every output that no weight to come brings in,
and every reduction that a weight to come still reads, unless it is hidden in a window that is not
open yet. The size of a tensor is at least the product of what its labels hold: views keep it, but
for windows (hidden until opened) and strides (the unread elements come on top).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from syno.ir.coord import Coord
from syno.ir.operator import Index, Operator
from syno.ir.size import ONE, Size
from syno.lower.parts import Numbers, Packed, Seen, Vector, entries_of, parts_of, seen_by


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
    reductions that may become the step of a window, whole or in part (None: any; empty: none). `terms` is the most that all
    reductions together may sum over, for each binding. `growth` is the largest product of the
    strides to come. `outputs_stay` promises that no output is expanded or the step of a window.
    """

    places: frozenset[Coord] = frozenset()
    fixed: tuple[Size, ...] = ()
    windows: tuple[Size, ...] | None = None
    terms: tuple[int, ...] | None = None
    growth: Size = ONE
    outputs_stay: bool = True


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
        low = self._least(_Low(op.data, seen, _COMPLETE).orders())
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
            more = [self._least(each) for each in lowest.orders_with_more()]
            low = tuple(map(min, low, *[tuple(map(max, *more, more[0]))]))
        highest = _High(coords, seen, future.ahead)
        high = self._least(highest.orders())
        entries = self._numbers.sum(map(entries_of, indices))
        if not future.weights and not future.reductions:
            return low, high, entries, entries
        factor = self._factor(highest.reductions, future)
        stages = future.weights + (future.reductions > 0)
        cuts = zip(high, self._numbers(highest.cut()), factor, strict=True)
        high = tuple(known + stages * cut * times for known, cut, times in cuts)
        new = zip(entries, self._numbers(highest.weighable()), factor, strict=True)
        return low, high, entries, tuple(e + future.weights * n * times for e, n, times in new)

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

    def __init__(self, coords: Sequence[Coord], seen: tuple[Seen, ...], ahead: Ahead) -> None:
        self.seen = seen
        self.fixed = sum(size.packed for size in ahead.fixed)
        parts = [parts_of(coord) for coord in coords]
        hidden = frozenset().union(*(each.hidden for each in parts))
        self.leaves = frozenset().union(*(each.leaves for each in parts))
        weighed = frozenset().union(*(each.leaves for each in seen))
        held = self.leaves | weighed if ahead.outputs_stay else weighed
        mixed = frozenset().union(*(each.hidden for each in seen))
        self.outputs = [c for c in held if c.op == "output" and c not in hidden | mixed]
        self.data: dict[Coord, Packed] = {}
        for each in parts:
            for leaf, size in each.visible:
                if leaf not in hidden and _stays(leaf, ahead):
                    self.data[leaf] = self.data.get(leaf, 0) + size
        places = frozenset().union(*(parts_of(coord).leaves for coord in ahead.places))
        self.places = [leaf for leaf in self.outputs if leaf in places]

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

    def orders_with_more(self) -> list[_Sums]:
        """Return alternatives for every weight there is, if at least one more comes.

        The weight is contracted last; or it meets the data at all places, and the last stage, which
        has every output, is another one; or, where a reduction may tie it to another weight, it is
        multiplied with that first. Each of the lists bounds the whole.
        """
        whole = self.fixed + _packed(self.outputs)
        found: list[_Sums] = [[[whole]]]
        for each in self.seen:
            ways = [[self.last(each)], [self.everywhere(each), whole]]
            if any(leaf.op == "reduce" for leaf in each.digits):
                ways.append([each.entries, whole])
            found.append(ways)
        return found

    def last(self, weight: Seen) -> Packed:
        """Bound the stage of `weight`, no other being left: all its labels, and all outputs."""
        return self.fixed + weight.entries + sum(_rest(leaf, weight) for leaf in self.outputs)

    def first(self, weight: Seen) -> Packed:
        """Bound the stage of `weight` with the data while all others are left.

        There are its labels, the outputs that no other weight brings in or the data has, and the
        reductions of the data that the others read.
        """
        total = self.fixed + weight.entries
        others = [each for each in self.seen if each is not weight]
        later = frozenset().union(*(each.leaves for each in others))
        for leaf in self.outputs:
            if leaf not in later:
                total += _rest(leaf, weight)
            elif leaf not in weight.leaves:
                total += self.data.get(leaf, 0)
        read = frozenset(leaf for each in others for leaf in each.digits if leaf.op == "reduce")
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

    def cut(self) -> Packed:
        """Return a bound for the tensors of the steps to come, but for new reductions."""
        own = sum(coord.size.packed for coord in self.coords)
        return self.fixed + own + self.ahead.growth.packed

    def weighable(self) -> Packed:
        """Return a bound for the entries of a weight to come, but for new reductions."""
        free = (coord.size.packed for coord in self.coords if coord not in self.ahead.places)
        return sum(free) + self.ahead.growth.packed

    def orders(self) -> _Sums:
        """Return what plans cost that open every window first, each a sum of stages.

        Without weights there is one sum. A weight that sees iterators and digits of them alone
        bars no view, so that one weight is one stage (or two, the other reductions being summed
        before), and two are contracted in any order: the first with all of the data, the second
        with all outputs and the reductions that it reads. Anything else: a stage for each weight
        and one sum, none larger than all iterators with the strides.
        """
        seen, sums = self.seen, _packed(self.reductions)
        if not seen:
            return [[self.whole + sums]] if self.reductions else [[]]
        if len(seen) > 2 or not all(each.is_plain for each in seen):
            return [[self.whole + sums + self.strides()] * (len(seen) + 1)]
        data = self.fixed + _packed(self.leaves)
        if len(seen) == 1:
            pooled = [data, self.whole + _packed(self.reductions & seen[0].leaves)]
            return [[self.whole + sums], pooled]
        return [self.ordered(data, one, two) for one, two in (seen, seen[::-1])]

    def ordered(self, data: Packed, first: Seen, second: Seen) -> list[Packed]:
        """Return the stages of two plain weights in this order."""
        brought = (size for leaf, size in first.digits.items() if leaf not in self.leaves)
        return [data + sum(brought), self.whole + _packed(self.reductions & second.leaves)]

    def strides(self) -> Packed:
        """Return the product of all strides."""
        nodes = {node for coord in self.coords for node in coord.walk() if node.op == "stride"}
        return sum(node.size.packed - node.args[0].size.packed for node in nodes)


def _packed(leaves: Iterable[Coord]) -> Packed:
    return sum(leaf.size.packed for leaf in leaves)


def _rest(leaf: Coord, weight: Seen) -> Packed:
    """Return the part of an iterator that `weight` certainly does not see."""
    return 0 if leaf in weight.mixed else leaf.size.packed - weight.digits.get(leaf, 0)


def _stays(leaf: Coord, ahead: Ahead) -> bool:
    """Tell whether no window to come hides `leaf`, as part of its step."""
    if leaf.op == "output":
        return ahead.outputs_stay
    return ahead.windows is not None and leaf.size not in ahead.windows

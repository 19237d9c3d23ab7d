"""The orders in which an operator can be computed, as a small graph that no binding changes.

The planner searches the same orders for the sizes of one binding. Which steps are possible does not
depend on sizes, only what they cost does: here labels are bits, a state is a few ints, and an edge
says which labels it multiplies over, so that one walk answers for any number of bindings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from syno.ir.coord import Coord
from syno.ir.operator import Operator
from syno.lower.pieces import factors_of, views_of

Mask = int
"""A set of labels, or of views: bit i stands for number i."""

Node = tuple[Mask, tuple[Mask, ...], Mask]
"""Labels of the running tensor, labels of each weight to come, views done."""

_View = tuple[Mask, Mask, Mask]  # its own bit, labels before, labels after


class Orders:
    """States and edges between x and y of one operator; the costs are left to the caller.

    `sizes` holds the packed size of every label. Shifts are done as soon as they can be: they
    change no size, and nothing becomes impossible by them.
    """

    def __init__(self, op: Operator) -> None:
        self._numbers: dict[Coord, int] = {}
        views = views_of(op)
        kinds: dict[str, list[_View]] = {}
        self._made = 0
        for view in views:
            before, after = self._mask(view.before), self._mask(view.after)
            kinds.setdefault(view.op, []).append((1 << view.number, before, after))
            self._made |= after
        self._merges = kinds.get("merge", [])
        self._free = [*self._merges]
        for kind in ("split", "stride", "shift"):
            self._free += kinds.get(kind, [])
        self._windows = kinds.get("unfold", [])
        self._expands = kinds.get("expand", [])
        self._views = [*self._free, *self._windows, *self._expands]
        self._pending: dict[Mask, Mask] = {}
        factors = tuple(sorted(self._mask(factor.labels) for factor in factors_of(op)))
        labels = self._mask(op.data)
        self.goal = self._mask(op.outputs)
        self._sums = self._mask(coord for coord in tuple(self._numbers) if coord.op == "reduce")
        self.sizes = [coord.size.packed for coord in self._numbers]
        self.start = self._node(labels, factors, 0)

    def _mask(self, labels: Iterable[Coord]) -> Mask:
        numbers, found = self._numbers, 0
        for label in labels:
            found |= 1 << numbers.setdefault(label, len(numbers))
        return found

    def packed(self, labels: Mask) -> int:
        """Return the product of the sizes of `labels`, packed."""
        total = 0
        while labels:
            lowest = labels & -labels
            total += self.sizes[lowest.bit_length() - 1]
            labels ^= lowest
        return total

    def is_goal(self, node: Node) -> bool:
        """Tell whether nothing is left to do."""
        return not node[1] and node[0] == self.goal

    def edges(self, node: Node) -> Iterator[tuple[Mask, Node]]:
        """Yield (labels multiplied over, 0 where nothing is; state that follows)."""
        labels, factors, done = node
        blocked = _union(factors)
        for bit, before, after in self._windows:
            if not done & bit and labels & before == before and not blocked & before:
                yield 0, self._node(labels & ~before | after, factors, done | bit)
        for bit, _, after in self._expands:
            if not done & bit and not labels & after:
                yield 0, self._node(labels | after, factors, done | bit)
        summed = self._finished(labels, blocked, done)
        if summed:
            yield labels, self._node(labels & ~summed, factors, done)
        for place, factor in enumerate(factors):
            if not factor & self._made & ~labels:
                rest = factors[:place] + factors[place + 1 :]
                yield labels | factor, self._contracted(labels | factor, rest, done)
        if len(factors) > 1:
            yield from self._pairs(node)

    def _contracted(self, labels: Mask, rest: tuple[Mask, ...], done: Mask) -> Node:
        """Return the state after a multiplication: pieces of reductions joined, then summed."""
        blocked = _union(rest)
        labels, done = _settled(labels, blocked, done, self._merges)
        return self._node(labels & ~self._finished(labels, blocked, done), rest, done)

    def _pairs(self, node: Node) -> Iterator[tuple[Mask, Node]]:
        """Yield the products of two weights that a reduction ties which nothing else reads."""
        labels, factors, done = node
        for second in range(1, len(factors)):
            for first in range(second):
                one, two = factors[first], factors[second]
                others = (*factors[:first], *factors[first + 1 : second], *factors[second + 1 :])
                tied = one & two & self._sums & ~(labels | self._made | _union(others))
                if tied:
                    made = (one | two) & ~tied
                    yield one | two, (labels, tuple(sorted((*others, made))), done)

    def _node(self, labels: Mask, factors: tuple[Mask, ...], done: Mask) -> Node:
        """Return the state with everything done that costs nothing."""
        labels, done = _settled(labels, _union(factors), done, self._free)
        return labels, factors, done

    def _finished(self, labels: Mask, blocked: Mask, done: Mask) -> Mask:
        """Return the reductions of the running tensor that nothing reads any more."""
        pending = self._pending.get(done)
        if pending is None:
            pending = 0
            for bit, before, _ in self._views:
                if not done & bit:
                    pending |= before
            self._pending[done] = pending
        return labels & self._sums & ~(pending | blocked)


def _union(factors: tuple[Mask, ...]) -> Mask:
    found = 0
    for factor in factors:
        found |= factor
    return found


def _settled(labels: Mask, blocked: Mask, done: Mask, views: list[_View]) -> tuple[Mask, Mask]:
    """Apply those of `views` that can be, until none can: labels are there, no weight waits."""
    again = bool(views)
    while again:
        again = False
        for bit, before, after in views:
            if not done & bit and labels & before == before and not blocked & before:
                labels = labels & ~before | after
                done |= bit
                again = True
    return labels, done

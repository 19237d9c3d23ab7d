"""The canonical form of sums: which reductions there are, and what they are called.

Two operators are the same when their terms can be renumbered and their weights relabelled. Here
the rules about sums are applied to current coordinates and the weights so far, which may be those
of a complete operator or of a state on the way: what is true of the sum so far stays true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from itertools import product as cartesian

from syno.ir.coord import Coord, quotient, reduce, remainder, shift, split
from syno.ir.operator import Index, digits, follows, normal_index
from syno.ir.size import Size
from syno.rules.rewrite import ALONE, Context, Rewriter, nameless, weight_of
from syno.rules.simplest import Simplest
from syno.rules.table import OF_SUMS, Rule

Sum = tuple[Index, tuple[Index, ...]]
"""Current coordinates in some order, and the weights in their fixed order."""

_FRESH = 1 << 20  # numbers of reductions in the making
_PARTS = ("quotient", "remainder")
_ROUNDS = 200  # of one sum: a handful is usual, and the last one gives the same operator as well


class Sums:
    """Canonical forms of (coordinates, weights); all of them are remembered."""

    def __init__(
        self,
        rewriter: Rewriter,
        rules: Iterable[Rule] = OF_SUMS,
        coefficients: Iterable[str] = (),
    ) -> None:
        self.normal = rewriter
        self.simplest = Simplest(rewriter.values, coefficients)
        self._names = {rule.name for rule in rules}
        self._steps: tuple[tuple[str, Callable[[Sum, _Occurrences], Iterator[Sum]]], ...] = (
            ("shift of reduction", self._unshifted),
            ("merge of reduction", self._cut),
            ("digit of reduction", self._cut_for_weights),
            ("twin reductions", self._twins),
            ("twin ranks", self._ranks),
            ("shift under a summed high part", self._carried),
            ("window that a weight sees whole", self._seen_whole),
            ("window no wider than its stride", self._apart),
            ("remainder of shift", self._uncarried),
        )
        self._known: dict[tuple[Index, frozenset[Index]], Sum] = {}
        self._indices: dict[tuple[Index, Context], Index] = {}

    def __call__(self, coords: Sequence[Coord], weights: Iterable[Index]) -> Sum:
        """Return (coordinates in the order given, weights in a fixed order), in canonical form."""
        key = (tuple(coords), frozenset(weights))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._find(*key)
        return found

    def _find(self, coords: Index, weights: frozenset[Index]) -> Sum:
        now = self._normalized(coords, weights)
        for _ in range(_ROUNDS):
            better = next(self._simpler(now), None)
            if better is None:
                break
            now = better
        return self._renumbered(self._with_simple_ranks(now))

    def _normalized(self, coords: Iterable[Coord], weights: Iterable[Index]) -> Sum:
        read, seen = tuple(coords), tuple(weights)
        context = Context(cut=self._unevenly_cut((*read, *(c for index in seen for c in index))))
        indices = tuple(sorted((self.index(each, context) for each in seen), key=_keys))
        context = replace(context, keep=_seen_as_wholes(indices))
        return tuple(self.normal(coord, context) for coord in read), indices

    def _unevenly_cut(self, tops: Iterable[Coord]) -> frozenset[Coord]:
        """Return the coordinates of which some parts have a simpler form and some have none."""
        parts: dict[Coord, set[Coord]] = {}
        for node in {node for top in tops for node in top.walk()}:
            whole = digits(node)[0]
            if whole is not node and whole.args:
                parts.setdefault(whole, set()).add(node)
        return frozenset(
            whole
            for whole, found in parts.items()
            if len({self.normal(node) is node for node in found}) > 1
        )

    def index(self, index: Index, context: Context = ALONE) -> Index:
        """Return the index of a weight in normal form: bijections undone, sorted."""
        found = self._indices.get((index, context))
        if found is None:
            made = normal_index(self.normal(coord, context) for coord in index)
            found = self._indices[index, context] = tuple(sorted(made, key=_key))
        return found

    # --------------------------------------------------------------------------- one rule at a time

    def _simpler(self, now: Sum) -> Iterator[Sum]:
        """Yield what one rule makes of a sum."""
        occurrences = _Occurrences(now)
        for name, apply in self._steps:
            if name in self._names:
                yield from apply(now, occurrences)

    def _unshifted(self, now: Sum, occurrences: _Occurrences) -> Iterator[Sum]:
        """A reduction that x sees shifted alone is renumbered."""
        for r in occurrences.reductions:
            shifts = {node for node in occurrences.parents[r] if node is not None}
            node = next(iter(shifts)) if len(shifts) == 1 else r
            if node.op == "shift":
                yield self._replaced(now, {node: r})

    def _cut(self, now: Sum, occurrences: _Occurrences) -> Iterator[Sum]:
        """A reduction of which x reads digits is cut into them."""
        for r in occurrences.reductions:
            for digit in sorted(set(_cuts(r, occurrences))):
                made = self._in_digits(now, r, digit)
                if _weight(made)[0] < _weight(now)[0]:
                    yield self._plain(made)

    def _cut_for_weights(self, now: Sum, occurrences: _Occurrences) -> Iterator[Sum]:
        """A reduction of which a weight sees a digit is cut there, where x sees none."""
        for r in occurrences.reductions:
            if r in occurrences.read_in_digits:
                continue
            parts = (node for node in occurrences.parents[r] if node is not None)
            cut = [node for node in parts if node.op in _PARTS]
            lows = {n.size if n.op == "remainder" else r.size / n.size for n in cut}
            for low in sorted(lows):
                made = self._in_digits(now, r, low)
                if _weight(made)[0] <= _weight(now)[0] and _parts(made) < _parts(now):
                    yield self._plain(made)

    def _in_digits(self, now: Sum, r: Coord, low: Size) -> Sum:
        """Return a sum with `r` made of two reductions, the lower one of size `low`."""
        pair = reduce(_FRESH, r.size / low), reduce(_FRESH + 1, low)
        return self._replaced(now, {r: split(*pair)})

    def _twins(self, now: Sum, occurrences: _Occurrences) -> Iterator[Sum]:
        """Reductions that are neighbouring digits, and that no weight tells apart, become one."""
        for high, low in occurrences.neighbours():
            yield from self._joined(now, high, low)

    def _ranks(self, now: Sum, occurrences: _Occurrences) -> Iterator[Sum]:
        """Reductions that tie the same weights become one."""
        ranks = [r for r in occurrences.reductions if r not in occurrences.read]
        for one, two in combinations(ranks, 2):
            yield from self._joined(now, one, two)

    def _joined(self, now: Sum, high: Coord, low: Coord) -> Iterator[Sum]:
        """Two reductions that nothing tells apart become one."""
        whole = reduce(_FRESH, high.size * low.size)
        parts = {high: quotient(whole, low.size), low: remainder(whole, low.size)}
        made = self._replaced(now, parts)
        left = [self.normal(part) for part in parts.values()]
        if not any(_holds(top, part) for top in _tops(made) for part in left):
            yield self._plain(made)

    def _carried(self, now: Sum, occurrences: _Occurrences) -> Iterator[Sum]:
        """A shift of digits whose highest is a sum is one of the others: the carry renumbers it."""
        for node in occurrences.shifted_splits():
            high, low = node.args[0].args
            alone = occurrences.parents[high] <= {None, node.args[0]}
            weights = [index for index in now[1] if any(_holds(c, high) for c in index)]
            tied = all(high in index and follows(low, index) for index in weights)
            alone = alone and all(c is high or not _holds(c, high) for i in weights for c in i)
            if alone and tied and isinstance(node.arg, int):
                yield self._replaced(now, {node: split(high, shift(low, node.arg))})

    def _seen_whole(self, now: Sum, occurrences: _Occurrences) -> Iterator[Sum]:
        """A weight that sees a window over blocks and the place in a block sees their split."""
        for node in occurrences.nodes:
            if node.op != "split" or node.args[0].op != "unfold":
                continue
            whole = self.normal(node)
            looks = [index for index in now[1] if any(_holds(c, node.args[0]) for c in index)]
            if whole is not node and looks and all(set(node.args) <= set(each) for each in looks):
                table = {index: _together(index, node.args, whole) for index in looks}
                yield self._normalized(now[0], (table.get(index, index) for index in now[1]))

    def _apart(self, now: Sum, occurrences: _Occurrences) -> Iterator[Sum]:
        """A weight that sees a window over a stride sees both, where windows do not overlap."""
        read = {node for coord in now[0] for node in coord.walk()}
        read -= {node.args[0] for node in read if node.op in ("quotient", "remainder")}
        for index in now[1]:
            for coord in index:
                if coord.op != "unfold" or coord.args[0].op != "stride" or coord not in read:
                    continue
                step, window = coord.args[0].arg, self.normal.values(coord.args[1].size)
                steps = self.normal.values(step) if isinstance(step, Size) else None
                others = [each for each in index if each is not coord]
                if steps is None or window is None or any(_holds(c, coord) for c in others):
                    continue
                if all(w <= s for w, s in zip(window, steps, strict=True)):
                    made = [(*others, *coord.args) if each is index else each for each in now[1]]
                    yield self._normalized(now[0], made)

    def _uncarried(self, now: Sum, occurrences: _Occurrences) -> Iterator[Sum]:
        """The low digit of a shifted coordinate of which nothing sees the high ones moves alone."""
        for node in occurrences.low_digits_of_shifts():
            moved = node.args[0]
            sizes = self.normal.values(node.size)
            distances = {int(str(moved.arg)) % size for size in sizes or ()}
            if len(distances) == 1:
                low = remainder(moved.args[0], node.size)
                distance = distances.pop()
                yield self._replaced(now, {node: shift(low, distance) if distance else low})
        for index in now[1]:
            for coord in index:
                other = self._other_low_digit(coord, occurrences)
                others = [each for each in index if each is not coord]
                if other is not None and not any(_holds(each, other[1]) for each in others):
                    made = [(*others, other[0]) if each is index else each for each in now[1]]
                    yield self._normalized(now[0], made)

    def _other_low_digit(
        self, coord: Coord, occurrences: _Occurrences
    ) -> tuple[Coord, Coord] | None:
        """Return what a weight at a low digit may see as well, and what has to be free for it.

        x reads the low digit of something shifted. Where that is a split, the weight sees the low
        digit of the split; where not, it sees the digit that x reads.
        """
        for node in occurrences.of_data:
            moved = node.args[0]
            if moved.op == "shift":
                low = self.normal(remainder(moved.args[0], node.size))
                if coord is node and _holds(moved.args[0], low):
                    return low, moved
                if coord is low and not _holds(moved.args[0], low):
                    return node, moved.args[0]
        return None

    def _replaced(self, now: Sum, table: dict[Coord, Coord]) -> Sum:
        coords = [each.replace(table.get) for each in now[0]]
        return self._normalized(coords, (_replaced(index, table) for index in now[1]))

    def _plain(self, now: Sum) -> Sum:
        """Give reductions numbers below those in the making."""
        leaves = sorted(_Occurrences(now).parents, key=lambda leaf: int(str(leaf.arg)))
        table = {leaf: reduce(place, leaf.size) for place, leaf in enumerate(leaves)}
        return self._replaced(now, table)

    def _with_simple_ranks(self, now: Sum) -> Sum:
        """Give reductions that only weights see, as a whole, the simplest size of their length."""
        if "ranks of one value" not in self._names:
            return now
        occurrences = _Occurrences(now)
        table = {
            leaf: reduce(int(str(leaf.arg)), self.simplest(leaf.size))
            for leaf, parents in occurrences.parents.items()
            if leaf not in occurrences.read and parents == {None}
        }
        changes = any(one is not two for one, two in table.items())
        return self._replaced(now, table) if changes else now

    # ------------------------------------------------------------------------------------ numbering

    def _renumbered(self, now: Sum) -> Sum:
        """Number the reductions so that the keys of coordinates and weights are the least."""
        leaves = sorted(_Occurrences(now).parents, key=_key)
        if not leaves:
            return now
        if "interchangeable reductions" not in self._names:
            return self._numbered(now, leaves)
        marks = {leaf: _mark(leaf, now) for leaf in leaves}
        groups: dict[tuple[str, ...], list[Coord]] = {}
        for leaf in sorted(leaves, key=lambda leaf: (marks[leaf], leaf.key)):
            groups.setdefault(marks[leaf], []).append(leaf)
        orders = cartesian(*(permutations(each) for each in groups.values()))
        found = (self._numbered(now, [leaf for each in order for leaf in each]) for order in orders)
        return min(found, key=_sum_key)

    def _numbered(self, now: Sum, order: Sequence[Coord]) -> Sum:
        table = {leaf: reduce(place, leaf.size) for place, leaf in enumerate(order)}
        if all(one is two for one, two in table.items()):
            return now
        return self._replaced(now, table)


class _Occurrences:
    """Where every reduction occurs: under which nodes; None stands for the top of an index."""

    def __init__(self, now: Sum) -> None:
        self.parents: dict[Coord, set[Coord | None]] = {}
        self.nodes: dict[Coord, None] = {}
        for top in _tops(now):
            self._enter(top, None)
        cut = {node for coord in now[0] for node in coord.walk() if node.op == "remainder"}
        self.of_data = sorted(cut, key=_key)
        self.read = {leaf for coord in now[0] for leaf in coord.leaves()}
        digits_read = (n for coord in now[0] for n in coord.walk() if n.op in _PARTS)
        self.read_in_digits = {node.args[0] for node in digits_read}
        self.reductions = sorted(self.parents, key=_key)

    def _enter(self, node: Coord, parent: Coord | None) -> None:
        if node.op == "reduce":
            self.parents.setdefault(node, set()).add(parent)
        if node.args:
            self.nodes[node] = None
            for each in node.args:
                self._enter(each, node)

    def neighbours(self) -> Iterator[tuple[Coord, Coord]]:
        """Yield the pairs of reductions that are neighbouring digits."""
        for node in sorted(self.nodes, key=_key):
            if node.op == "split":
                high, rest = node.args
                low = rest.args[0] if rest.op == "split" else rest
                if high.op == "reduce" and low.op == "reduce":
                    yield high, low

    def low_digits_of_shifts(self) -> Iterator[Coord]:
        """Yield the remainders of shifts of which nothing reads a higher digit."""
        cut = {node.args[0] for node in self.nodes if node.op == "quotient"}
        for node in sorted(self.nodes, key=_key):
            if node.op == "remainder" and node.args[0].op == "shift" and node.args[0] not in cut:
                yield node

    def shifted_splits(self) -> Iterator[Coord]:
        """Yield the shifts of digits of which the highest is a reduction."""
        for node in sorted(self.nodes, key=_key):
            moved = node.args[0] if node.op == "shift" else node
            if node.op == "shift" and moved.op == "split" and moved.args[0].op == "reduce":
                yield node


def _cuts(r: Coord, occurrences: _Occurrences) -> Iterator[Size]:
    """Yield the sizes of low digits that may be a reduction of their own."""
    for node in occurrences.parents[r]:
        if node is not None and node.op == "remainder":
            yield node.size
        if node is not None and node.op == "unfold" and node.args[1] is r:
            base = node.args[0].args[0] if node.args[0].op == "shift" else node.args[0]
            step = base.arg if base.op == "stride" else None
            if isinstance(step, Size) and step is not r.size and (r.size / step).may_be_whole:
                yield step


def _replaced(index: Index, table: dict[Coord, Coord]) -> Index:
    return tuple(coord.replace(table.get) for coord in index)


def _tops(now: Sum) -> Index:
    return (*now[0], *(coord for index in now[1] for coord in index))


def _seen_as_wholes(indices: Iterable[Index]) -> frozenset[Coord]:
    """Return what data has to keep: windows that weights see, and what they see digits of."""
    seen = {node for index in indices for coord in index for node in coord.walk()}
    wholes = {digits(node)[0] for node in seen if node.op in ("quotient", "remainder")}
    return frozenset(n for n in seen if n.op == "unfold" or (n.args and n in wholes))


def _holds(coord: Coord, node: Coord) -> bool:
    return any(each is node for each in coord.walk())


def _together(index: Index, parts: Index, whole: Coord) -> Index:
    return (*(coord for coord in index if coord not in parts), whole)


def _weight(now: Sum) -> tuple[int, int]:
    weights = [weight_of(top) for top in _tops(now)]
    return sum(each[0] for each in weights), sum(each[1] for each in weights)


def _parts(now: Sum) -> int:
    """Return how many quotients and remainders there are."""
    nodes = (node for top in _tops(now) for node in top.walk())
    return sum(node.op in _PARTS for node in nodes)


def _mark(leaf: Coord, now: Sum) -> tuple[str, ...]:
    """Return what tells a reduction from others of its size without looking at numbers."""
    here = (str(leaf.size), *sorted(nameless(top) for top in now[0] if leaf in top.leaves()))
    seen = (
        f"{nameless(coord)}@{'|'.join(sorted(map(nameless, index)))}"
        for index in now[1]
        for coord in index
        if leaf in coord.leaves()
    )
    return (*here, *sorted(seen))


def _key(coord: Coord | None) -> str:
    return coord.key if coord is not None else ""


def _keys(index: Index) -> tuple[str, ...]:
    return tuple(coord.key for coord in index)


def _sum_key(now: Sum) -> tuple[object, ...]:
    return tuple(sorted(_keys(now[0]))), tuple(map(_keys, now[1])), _keys(now[0])


__all__ = ["Sum", "Sums"]

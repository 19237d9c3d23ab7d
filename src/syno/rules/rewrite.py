"""The normal form of a coordinate: index rules, applied from the inside until none fits.

Both sides of an index rule are the same function of the iterators, so that a coordinate may be
replaced by its normal form wherever it stands. Sizes bound by a match have to be whole, and
conditions have to hold, under every binding that `values` knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from syno.ir.coord import Coord, rebuild, shift, split, stride, unfold
from syno.ir.operator import digits, part
from syno.ir.size import ONE, Size, Values
from syno.rules.pattern import Match, expression, holds, instance, matched, number, side
from syno.rules.table import OF_INDICES, Rule

_Row = tuple[Rule, Coord, "Coord | None"]
_WORD = re.compile(r"[A-Za-z]+")
_NUMBER = re.compile(r"reduce\(\d+\)")


@dataclass(frozen=True)
class Context:
    """What other coordinates ask of a normal form.

    The coordinates `keep` are not taken apart: a weight sees a window in them, or digits of them,
    and the formula has to name what it sees. Those in `cut` are cut as they are: another part of
    them has no simpler form, and a merge takes both parts of one coordinate.
    """

    keep: frozenset[Coord] = frozenset()
    cut: frozenset[Coord] = frozenset()


ALONE = Context()


class Rewriter:
    """Normal forms of coordinates under some rules; all of them are remembered.

    With `expands`, a coordinate may be dropped that nothing reads: then no rule may forget what
    makes a coordinate leave its range, since nothing else remembers it.
    """

    def __init__(
        self, values: Values, rules: Iterable[Rule] = OF_INDICES, *, expands: bool = False
    ) -> None:
        self.values = values
        self.expands = expands
        self._names: set[str] = set()
        self._rows: dict[str, list[_Row]] = {}
        for rule in rules:
            self._names.add(rule.name)
            row = _sides(rule)
            if rule.name not in _BY_HAND:
                self._rows.setdefault(row[1].op, []).append(row)
        self._normal: dict[Context, dict[Coord, Coord]] = {}
        self._constant: dict[Coord, bool] = {}

    def __call__(self, coord: Coord, context: Context = ALONE) -> Coord:
        """Return the normal form of `coord` beside other coordinates."""
        known = self._normal.setdefault(context, {})
        found = known.get(coord)
        if found is None:
            found = known[coord] = self._find(coord, context)
        return found

    def is_constant(self, coord: Coord) -> bool:
        """Tell whether a rule says that `coord`, or a part of it, has the same value everywhere."""
        if coord not in self._constant:
            self._constant[coord] = any(map(self.is_constant, coord.args)) or any(
                right is None and self._match(rule, left, coord) is not None
                for rule, left, right in self._rows.get(coord.op, ())
            )
        return self._constant[coord]

    def _find(self, coord: Coord, context: Context) -> Coord:
        if not coord.args:
            return coord
        inside = tuple(self(each, context) for each in coord.args)
        if inside != coord.args:
            return self(rebuild(coord, inside), context)
        if context.cut and digits(coord)[0] in context.cut and digits(coord)[0] is not coord:
            return coord
        held = context.keep.intersection(coord.walk()) if context.keep else ()
        for simpler in (self._by_hand(coord), self._by_pattern(coord)):
            if simpler is not None:
                normal = self(simpler, context)
                if self.expands and _forgets_range(coord, normal):
                    continue
                if all(_is_whole_or_gone(each, coord, normal) for each in held):
                    return normal
        return coord

    def _by_pattern(self, coord: Coord) -> Coord | None:
        for rule, left, right in self._rows.get(coord.op, ()):
            if right is not None:
                match = self._match(rule, left, coord)
                if match is not None:
                    made = instance(right, match, match.distances)
                    if made is not coord:
                        return made
        return None

    def _match(self, rule: Rule, left: Coord, coord: Coord) -> Match | None:
        """Return the match with the distances of the right side, if the rule holds there."""
        match = matched(left, coord)
        if match is None:
            return None
        several = [self.values(size) for size in match.sizes.values()]
        if any(each is None or min(each) < 2 for each in several):
            return None
        if not rule.condition and not rule.where:
            return match
        numbers = zip(*(each for each in several if each is not None), strict=True)
        found: set[tuple[int, ...]] = set()
        for each in numbers:
            values = {**dict(zip(match.sizes, each, strict=True)), **match.distances}
            where = {k: number(expression(text), values) for k, text in rule.where.items()}
            if not holds(rule.condition, {**values, **where}):
                return None
            found.add(tuple(where.values()))
        if len(found) != 1:
            return None
        match.distances.update(zip(rule.where, found.pop(), strict=True))
        return match

    # ------------------------------------------------------- rules about chains and about symmetry

    def _by_hand(self, coord: Coord) -> Coord | None:
        if coord.op == "split":
            high, rest = coord.args
            low, tail = (rest.args[0], rest.args[1]) if rest.op == "split" else (rest, None)
            joined = self.joined(high, low)
            if joined is not None:
                return joined if tail is None else split(joined, tail)
        if coord.op == "unfold":
            return self._as_steps(coord) or self._in_order(coord)
        return None

    def joined(self, high: Coord, low: Coord) -> Coord | None:
        """Return the coordinate of which `high` and `low` are touching digits, or None."""
        whole, start, size = digits(low)
        other, above, length = digits(high)
        if other is whole and above is start * size and self._joins(start, above * length, whole):
            return part(whole, start, size * length)
        if high.op == "shift" and isinstance(high.arg, int):
            return self._joined_shift(high, high.arg, low)
        if low.op == "stride" and isinstance(low.arg, Size):
            base = self.joined(high, low.args[0])
            if base is not None and "split of a strided merge" in self._names:
                return stride(base, low.arg)
        if low.op == "shift" and low.args[0].op == "stride":
            return self._joined_stride(high, low)
        if high.op == "unfold":
            return self._joined_window(high, low)
        return None

    def _joined_window(self, high: Coord, low: Coord) -> Coord | None:
        """Return the window in steps of blocks of which `high` slides over the block numbers."""
        base = self.joined_last(high.args[0], low)
        if base is None or "window over the blocks of a merge" not in self._names:
            return None
        window, block = high.args[1], low.size
        offset = self._offset(window.size, block)
        if offset is None:
            return None
        steps = stride(window, block)
        return unfold(base, shift(steps, offset) if offset else steps)

    def joined_last(self, high: Coord, low: Coord) -> Coord | None:
        """Return `high` with its lowest digit joined with `low`, or None."""
        chain = _digits_of(high)
        last = self.joined(chain[-1], low)
        return None if last is None else _chained([*chain[:-1], last])

    def _offset(self, window: Size, block: Size) -> int | None:
        """Return by how much the centre of K*B lies above K//2 blocks of B; None if it varies."""
        pairs = zip(self.values(window) or (), self.values(block) or (), strict=True)
        found = {(k * b) // 2 - b * (k // 2) for k, b in pairs}
        return found.pop() if len(found) == 1 else None

    def _joins(self, start: Size, end: Size, whole: Coord) -> bool:
        if end is whole.size:
            return ("split of merge" if start is ONE else "split of middle digits") in self._names
        return "split of low digits" in self._names

    def _joined_shift(self, high: Coord, distance: int, low: Coord) -> Coord | None:
        if "split of a shifted part" not in self._names:
            return None
        base, sizes = self.joined_last(high.args[0], low), self.values(low.size)
        if base is None or sizes is None or len(set(sizes)) != 1:
            return None
        return shift(base, distance * sizes[0])

    def _joined_stride(self, high: Coord, low: Coord) -> Coord | None:
        """Join with a low digit that is a stride shifted by less than its step."""
        distance, step = low.arg, low.args[0].arg
        if "split of a shifted and strided merge" not in self._names:
            return None
        if not isinstance(distance, int) or not isinstance(step, Size):
            return None
        base = self.joined(high, low.args[0].args[0])
        if base is None or distance >= min(self.values(step) or (0,)):
            return None
        return shift(stride(base, step), distance)

    def _as_steps(self, coord: Coord) -> Coord | None:
        """Return the window in steps of blocks that slides over both digits of a merge, or None."""
        base, window = coord.args
        *above, last = _digits_of(base)
        if last.op != "stride" or window.op != "split" or window.args[1].size is not last.arg:
            return None
        whole = self.joined(last.args[0], window.args[1])
        if whole is None or "window with the low digit of a merge" not in self._names:
            return None
        return unfold(_chained([*above, whole]), stride(window.args[0], window.args[1].size))

    def _in_order(self, coord: Coord) -> Coord | None:
        """Return `coord` with its window and the low digit of its base in the fixed order."""
        others = [unfold(self(base), window) for base, window in self._swapped(coord)]
        best = min(others, key=_rank, default=coord)
        return best if _rank(best) < _rank(coord) else None

    def _swapped(self, coord: Coord) -> Iterator[tuple[Coord, Coord]]:
        """Yield (base, window) of windows that read the same as `coord`."""
        base, window = coord.args
        *above, low = _digits_of(base)
        *over, last = _digits_of(window)
        names = self._names
        if above and low.size is window.size and "window and low digit of one size" in names:
            yield _chained([*above, window]), low
        if above and over and low.size is last.size and "low digits of window and base" in names:
            yield _chained([*above, last]), _chained([*over, low])
        if base.op == "unfold" and base.args[1].size is window.size:
            is_two = set(self.values(window.size) or ()) == {2}
            if is_two and "two windows of two" in names:
                yield unfold(base.args[0], window), base.args[1]


def _forgets_range(before: Coord, after: Coord) -> bool:
    """Tell whether `before` may leave its range for reasons that `after` knows nothing of."""
    windowed = any(node.op == "unfold" for node in before.walk())
    return windowed and set(before.leaves()) != set(after.leaves())


def _is_whole_or_gone(node: Coord, before: Coord, after: Coord) -> bool:
    """Tell whether `node`, a part of `before`, is in `after` as it was, or nothing of it is."""
    inside = set(after.walk())
    if node in inside:
        return True
    parts = {part for each in node.args for part in each.walk()} - set(_beside(before, node))
    return not parts & inside


def _beside(coord: Coord, node: Coord) -> Iterator[Coord]:
    """Yield what is in `coord` outside of `node`."""
    if coord is not node:
        yield coord
        for each in coord.args:
            yield from _beside(each, node)


@cache
def _sides(rule: Rule) -> _Row:
    names = set(_WORD.findall(rule.after))
    right = side(rule, rule.after) if names & set(rule.iterators) else None
    return rule, side(rule, rule.before), right


_BY_HAND = frozenset(
    {
        "split of merge",
        "split of middle digits",
        "split of low digits",
        "split of a shifted part",
        "split of a strided merge",
        "split of a shifted and strided merge",
        "window over the blocks of a merge",
        "window with the low digit of a merge",
        "window and low digit of one size",
        "low digits of window and base",
        "two windows of two",
    }
)


def _digits_of(coord: Coord) -> list[Coord]:
    """Return the digits of nested splits, the highest first."""
    found = []
    while coord.op == "split":
        found.append(coord.args[0])
        coord = coord.args[1]
    return [*found, coord]


def _chained(parts: list[Coord]) -> Coord:
    made = parts[-1]
    for each in reversed(parts[:-1]):
        made = split(each, made)
    return made


@cache
def nameless(coord: Coord) -> str:
    """Return the key of `coord` without the numbers of its reductions."""
    return _NUMBER.sub("reduce", coord.key)


@cache
def weight_of(coord: Coord) -> tuple[int, int]:
    """Return (primitives, iterators) in `coord`, each as often as it occurs."""
    nodes = list(coord.walk())
    inner = sum(bool(node.args) for node in nodes)
    return inner, len(nodes) - inner


def _rank(coord: Coord) -> tuple[tuple[int, int], str, str]:
    return weight_of(coord), nameless(coord), coord.key


__all__ = ["ALONE", "Context", "Rewriter", "nameless", "weight_of"]

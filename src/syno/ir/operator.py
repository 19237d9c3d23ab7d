"""The operator: which input element and which weights one output element multiplies and sums.

    y[outputs] = sum over reductions of x[data] * w1[weights[0]] * w2[weights[1]] * ...

`Operator.build` brings every spelling into one form, so that equal text is the same object:
reductions are numbered as the data meets them, weights are indexed by iterators wherever a
bijection allows it, and dimensions and weights stand in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import permutations

from syno.ir.coord import Coord, output, quotient, reduce, remainder
from syno.ir.errors import OperatorError
from syno.ir.limits import (
    MAX_ENTRIES,
    MAX_FREE_REDUCTIONS,
    MAX_NODES,
    MAX_TEXT,
    MAX_WEIGHTS,
)
from syno.ir.size import ONE, Size

Index = tuple[Coord, ...]
_INTERNED: dict[tuple[object, ...], Operator] = {}


class Operator:
    """An interned, immutable operator; build it with `Operator.build` or `syno.parse`."""

    __slots__ = ("data", "input", "output", "outputs", "reductions", "text", "weights")

    input: tuple[Size, ...]
    output: tuple[Size, ...]
    data: Index
    weights: tuple[Index, ...]
    outputs: Index
    reductions: Index
    text: str

    @staticmethod
    def build(
        input: Iterable[Size],
        output: Iterable[Size],
        data: Iterable[Coord],
        weights: Iterable[Iterable[Coord]],
    ) -> Operator:
        """Return the operator in canonical form; OperatorError where the parts do not fit.

        `data` holds one coordinate for each input dimension, `weights` one tuple of coordinates for
        each weight tensor. Reductions may carry any distinct numbers.
        """
        shape_in, shape_out, read = tuple(input), tuple(output), tuple(data)
        _check_shapes(shape_in, read)
        plain = [normal_index(index) for index in weights]
        _check_leaves(shape_out, (*read, *_flat(plain)))
        _check_limits(shape_out, read, plain)
        read, plain = _number_reductions(read, plain, len(shape_out))
        key = (shape_in, shape_out, read, tuple(plain))
        found = _INTERNED.get(key)
        if found is None:
            found = _INTERNED[key] = _make(shape_in, shape_out, read, tuple(plain))
        return found

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Operator({self.text!r})"

    def __reduce__(self) -> tuple[Callable[..., Operator], tuple[object, ...]]:
        return Operator.build, (self.input, self.output, self.data, self.weights)

    def input_shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape of the input under `sizes`."""
        return tuple(size.evaluate(sizes) for size in self.input)

    def output_shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape of the output under `sizes`."""
        return tuple(size.evaluate(sizes) for size in self.output)

    def weight_shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight, keyed `w1`, `w2`, ..., under `sizes`."""
        return {
            f"w{number}": tuple(coord.size.evaluate(sizes) for coord in index)
            for number, index in enumerate(self.weights, start=1)
        }

    @property
    def symbols(self) -> frozenset[str]:
        """Names of all symbols in its sizes."""
        nodes = [node for top in self.coordinates for node in top.walk()]
        sizes = [*self.input, *self.output, *(node.size for node in nodes)]
        sizes += [node.arg for node in nodes if isinstance(node.arg, Size)]
        return frozenset().union(*(size.symbols for size in sizes))

    @property
    def coordinates(self) -> Index:
        """All coordinates that index the data or a weight."""
        return (*self.data, *(coord for index in self.weights for coord in index))


def normal_index(index: Iterable[Coord]) -> Index:
    """Return the index of a weight with bijections undone and duplicates dropped.

    A weight read at `i*B + j` is one read at `(i, j)`; at `(i + d) % N` or `S*i`, one read at `i`;
    at both `i // B` and `i % B`, one read at `i`; a coordinate that another one fixes says nothing.
    """
    found: dict[Coord, None] = {}
    for coord in index:
        found.update(dict.fromkeys(_undo(coord)))
    while True:
        joined = _join_parts(tuple(found))
        if joined is None:
            break
        found = dict.fromkeys(each for coord in joined for each in _undo(coord))
    return tuple(coord for coord in found if not _fixed_by_others(coord, found))


def _undo(coord: Coord) -> list[Coord]:
    if coord.op in ("split", "shift", "stride"):
        return [each for arg in coord.args for each in _undo(arg)]
    return [coord]


def _join_parts(index: Index) -> Index | None:
    """Return `index` with one pair of touching parts of a coordinate joined, or None."""
    for low in index:
        for high in index:
            joined = _joined(high, low) if high is not low else None
            if joined is not None:
                return (*(each for each in index if each not in (high, low)), joined)
    return None


def _joined(high: Coord, low: Coord) -> Coord | None:
    """Return the coordinate with the digits of both, or None where they neither touch nor overlap.

    Boundaries are compared by divisibility, as far as it holds whatever the symbols stand for.
    """
    whole, start, size = digits(low)
    other, above, length = digits(high)
    if other is not whole:
        return None
    end, top = start * size, above * length
    known = {(start, end), (above, top)}

    def divides(one: Size, two: Size) -> bool:
        ends = one is ONE or two is whole.size or (one, two) in known
        return ends or (two / one).is_multiple

    if not divides(start, above) or not divides(above, end):
        return None
    if divides(top, end):
        return low
    return part(whole, start, top / start) if divides(end, top) else None


def part(whole: Coord, start: Size, size: Size) -> Coord:
    """Return `(whole // start) % size`, in the form in which it is kept."""
    shifted = whole if start is ONE else quotient(whole, start)
    return shifted if start * size is whole.size else remainder(shifted, size)


def digits(coord: Coord) -> tuple[Coord, Size, Size]:
    """Return (i, B, C) where `coord` is `(i // B) % C`, the digits of i from B up to B*C."""
    if coord.op == "remainder" and isinstance(coord.arg, Size):
        below = coord.args[0]
        if below.op == "quotient" and isinstance(below.arg, Size):
            return below.args[0], below.arg, coord.arg
        return below, ONE, coord.arg
    if coord.op == "quotient" and isinstance(coord.arg, Size):
        return coord.args[0], coord.arg, coord.size
    return coord, ONE, coord.size


def _fixed_by_others(coord: Coord, index: Iterable[Coord]) -> bool:
    """Tell whether `coord` says no more than the other coordinates of the same index.

    A window among them would: what falls outside of it reads 0.
    """
    if any(node.op == "unfold" for node in coord.walk()):
        return False
    return follows(coord, {each for each in index if each is not coord})


def follows(coord: Coord, known: Collection[Coord]) -> bool:
    """Tell whether the value of `coord` follows from the values of `known`."""
    if coord in known or any(_joined(coord, each) is each for each in known):
        return True
    return bool(coord.args) and all(follows(each, known) for each in coord.args)


def _check_shapes(shape_in: tuple[Size, ...], data: Index) -> None:
    if len(data) != len(shape_in):
        raise OperatorError(
            f"The input has {len(shape_in)} dimensions and is read with {len(data)} coordinates."
        )
    for number, (size, coord) in enumerate(zip(shape_in, data, strict=True)):
        if coord.size is not size:
            raise OperatorError(
                f"Dimension {number} of x has size {size} and is read with a coordinate of size "
                f"{coord.size}: the two have to be equal."
            )


def _check_leaves(shape_out: tuple[Size, ...], coords: Index) -> None:
    outputs = {output(number, size) for number, size in enumerate(shape_out)}
    for leaf in (*outputs, *_leaves(coords)):
        if leaf.op == "output" and leaf not in outputs:
            raise OperatorError(
                f"Iterator {leaf.arg} of size {leaf.size} is not a dimension of the output, which "
                f"has the shape [{', '.join(map(str, shape_out))}]."
            )
        if leaf.size is ONE:
            raise OperatorError(
                "A dimension or iterator of size 1 says nothing and has no text: leave it out."
            )


def _check_limits(shape_out: tuple[Size, ...], data: Index, weights: list[Index]) -> None:
    """Refuse what could not be written as a text that parses back."""
    coords = (*data, *_flat(weights))
    summed = [leaf for leaf in _leaves(coords) if leaf.op == "reduce"]
    for what, found, most in (
        ("dimensions", max(map(len, (shape_out, data, *weights))), MAX_ENTRIES),
        ("reductions", len(summed), MAX_ENTRIES),
        ("weights", len(weights), MAX_WEIGHTS),
        ("steps in one coordinate", max((_count(c) for c in coords), default=0), MAX_NODES),
    ):
        if found > most:
            raise OperatorError(f"The operator has {found} {what}; at most {most} can be written.")


def _count(coord: Coord) -> int:
    return sum(1 for _ in coord.walk())


def _number_reductions(
    data: Index, weights: list[Index], dimensions: int
) -> tuple[Index, list[Index]]:
    """Renumber reductions: first as the data meets them, then those that only weights see."""
    met = [leaf for leaf in _leaves(data) if leaf.op == "reduce"]
    free = [leaf for leaf in _leaves(_flat(weights)) if leaf.op == "reduce" and leaf not in met]
    if len(free) > MAX_FREE_REDUCTIONS:
        raise OperatorError(
            f"{len(free)} reductions touch only weights; at most {MAX_FREE_REDUCTIONS} make sense."
        )
    numbers = {leaf: reduce(index, leaf.size) for index, leaf in enumerate(met)}
    best: tuple[tuple[object, ...], list[Index]] | None = None
    for order in permutations(free):
        extra = {leaf: reduce(len(met) + i, leaf.size) for i, leaf in enumerate(order)}
        candidate = _sorted_weights(weights, numbers | extra, dimensions)
        rank = _rank_of(candidate, dimensions)
        if best is None or rank < best[0]:
            best = rank, candidate
    assert best is not None  # permutations() yields at least the empty order
    return tuple(coord.replace(numbers.get) for coord in data), best[1]


def _sorted_weights(
    weights: list[Index], numbers: Mapping[Coord, Coord], dimensions: int
) -> list[Index]:
    renamed = [tuple(coord.replace(numbers.get) for coord in index) for index in weights]
    ordered = [tuple(sorted(index, key=lambda c: _rank(c, dimensions))) for index in renamed]
    return sorted(ordered, key=lambda index: _rank_of([index], dimensions))


def _rank(coord: Coord, dimensions: int) -> tuple[tuple[int, ...], str]:
    """Sort key of a coordinate: its iterators, outputs before reductions, then its structure."""
    places = tuple(
        leaf.arg if leaf.op == "output" else dimensions + leaf.arg
        for leaf in coord.leaves()
        if isinstance(leaf.arg, int)
    )
    return places, coord.key


def _rank_of(weights: Iterable[Index], dimensions: int) -> tuple[object, ...]:
    return tuple(tuple(_rank(coord, dimensions) for coord in index) for index in weights)


def _flat(weights: Iterable[Index]) -> Index:
    return tuple(coord for index in weights for coord in index)


def _leaves(index: Index) -> Index:
    return tuple(dict.fromkeys(leaf for coord in index for leaf in coord.leaves()))


def _make(
    shape_in: tuple[Size, ...], shape_out: tuple[Size, ...], data: Index, weights: tuple[Index, ...]
) -> Operator:
    from syno.ir.text import format_operator

    made = object.__new__(Operator)
    made.input, made.output, made.data, made.weights = shape_in, shape_out, data, weights
    made.outputs = tuple(output(index, size) for index, size in enumerate(shape_out))
    seen = [leaf for leaf in _leaves((*data, *_flat(weights))) if leaf.op == "reduce"]
    made.reductions = tuple(sorted(seen, key=lambda leaf: int(str(leaf.arg))))
    made.text = format_operator(made)
    if len(made.text) > MAX_TEXT:
        raise OperatorError(
            f"The formula of this operator has {len(made.text)} characters; at most {MAX_TEXT} "
            "can be read back."
        )
    return made

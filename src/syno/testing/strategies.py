"""Hypothesis strategies: sizes, bindings, and operators built by random primitives.

Every operator comes as a `Case` with numbers for its symbols, small enough that the reference takes
milliseconds. `cases` builds whatever the primitives allow; `valid_cases` keeps what the verifier
accepts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

from hypothesis import strategies as st

from syno.ir.coord import Coord, merge, output, reduce, shift, split, stride, unfold
from syno.ir.errors import SizeError
from syno.ir.operator import Operator
from syno.ir.size import Size, product
from syno.ir.verify import verify

Draw = st.DrawFn
Binding = Mapping[str, int]


@dataclass(frozen=True)
class Case:
    """An operator and numbers for its symbols."""

    op: Operator
    sizes: Binding


@dataclass(frozen=True)
class Vocabulary:
    """The sizes that operators are built from, in text, with a number for every symbol.

    No coordinate grows beyond `largest`, and no operator sums over more than `terms` terms in all.
    """

    outputs: tuple[str, ...]
    reductions: tuple[str, ...]
    blocks: tuple[str, ...]
    strides: tuple[str, ...]
    sizes: Binding = field(default_factory=dict)
    largest: int = 36
    terms: int = 4_000

    def value(self, size: Size) -> int | None:
        """Return the number that `size` stands for; None where it is no whole number."""
        try:
            return size.evaluate(self.sizes)
        except SizeError:
            return None


NUMBERS = Vocabulary(("2", "3", "4", "6", "8"), ("2", "3", "4"), ("2", "3", "4"), ("2", "3"))
SYMBOLS = Vocabulary(
    outputs=("N", "C_in", "C_out", "H", "H*s", "C_in/g"),
    reductions=("k", "s", "C_in", "C_in/g", "g"),
    blocks=("s", "g", "k", "C_in/g", "C_out/g", "H"),
    strides=("s",),
    sizes={"N": 2, "C_in": 4, "C_out": 6, "H": 6, "k": 3, "s": 2, "g": 2},
)


def sizes(
    symbols: tuple[str, ...] = ("C_in", "C_out", "H", "g", "k", "s"),
) -> st.SearchStrategy[Size]:
    """Return a strategy for monomials in `symbols` and small numbers, with exponents -2 to 3."""
    powers = st.dictionaries(st.sampled_from(symbols), st.integers(-2, 3), max_size=4)
    numbers = st.integers(1, 4096)

    def build(exponents: Mapping[str, int], above: int, below: int) -> Size:
        parts = [Size.symbol(name) ** power for name, power in exponents.items()]
        return product([*parts, Size.integer(above)]) / Size.integer(below)

    return st.builds(build, powers, numbers, numbers)


def bindings(symbols: tuple[str, ...], largest: int = 12) -> st.SearchStrategy[dict[str, int]]:
    """Return a strategy that gives every symbol a number from 1 to `largest`."""
    return st.fixed_dictionaries({name: st.integers(1, largest) for name in symbols})


@st.composite
def cases(draw: Draw, words: Vocabulary | None = None) -> Case:
    """Draw an operator that the primitives build, with numbers or with symbols."""
    chosen = words or draw(st.sampled_from((NUMBERS, SYMBOLS)))
    shape = draw(st.lists(st.sampled_from(chosen.outputs), min_size=1, max_size=3))
    made = _Construction(chosen, tuple(map(Size.parse, shape)))
    for primitive in draw(st.lists(st.sampled_from(tuple(_MOVES)), min_size=1, max_size=8)):
        _MOVES[primitive](made, draw)
    if not made.current:
        made.current.append(made.reduction(draw))
    data = draw(st.permutations(made.current))
    op = Operator.build([coord.size for coord in data], made.shape, data, made.weights)
    return Case(op, chosen.sizes)


def valid_cases(words: Vocabulary | None = None) -> st.SearchStrategy[Case]:
    """Return a strategy for operators in which the verifier finds no problem."""
    return cases(words).filter(lambda case: not verify(case.op, [case.sizes]))


class _Construction:
    """An operator in the making: its current coordinates and the weights so far."""

    def __init__(self, words: Vocabulary, shape: tuple[Size, ...]) -> None:
        self.words = words
        self.shape = shape
        self.current: list[Coord] = [output(index, size) for index, size in enumerate(shape)]
        self.weights: list[tuple[Coord, ...]] = []
        self.reductions = 0
        self.terms = prod(words.value(size) or 1 for size in shape)

    def length(self, coord: Coord) -> int:
        value = self.words.value(coord.size)
        assert value is not None  # only coordinates of whole sizes become current
        return value

    def fits(self, size: Size) -> bool:
        value = self.words.value(size)
        return value is not None and 1 < value <= self.words.largest

    def take(self, draw: Draw, count: int) -> tuple[Coord, ...]:
        """Return `count` different current coordinates; none at all where there are too few."""
        if len(self.current) < count:
            return ()
        return tuple(draw(st.permutations(self.current))[:count])

    def put(self, old: tuple[Coord, ...], new: tuple[Coord, ...]) -> None:
        self.current = [coord for coord in self.current if coord not in old] + list(new)

    def reduction(self, draw: Draw) -> Coord:
        leaf = reduce(self.reductions, Size.parse(draw(st.sampled_from(self.words.reductions))))
        self.reductions += 1
        self.terms *= self.length(leaf)
        return leaf


def _split(made: _Construction, draw: Draw) -> None:
    for taken in filter(None, [made.take(draw, 2)]):
        if made.fits(product([coord.size for coord in taken])):
            made.put(taken, (split(*taken),))


def _merge(made: _Construction, draw: Draw) -> None:
    for coord in made.take(draw, 1):
        texts = [text for text in made.words.blocks if made.fits(coord.size / Size.parse(text))]
        # `(i % D) % B` is kept as `i % B`, which is the same only where B divides D.
        plain = coord.op != "remainder"
        whole = [t for t in texts if plain or (coord.size / Size.parse(t)).is_multiple]
        if whole:
            made.put((coord,), merge(coord, Size.parse(draw(st.sampled_from(whole)))))


def _shift(made: _Construction, draw: Draw) -> None:
    for coord in made.take(draw, 1):
        distance = draw(st.sampled_from((-2, -1, 1, 2)))
        if distance % made.length(coord):
            made.put((coord,), (shift(coord, distance),))


def _stride(made: _Construction, draw: Draw) -> None:
    for coord in made.take(draw, 1):
        step = Size.parse(draw(st.sampled_from(made.words.strides)))
        if made.fits(step * coord.size):
            made.put((coord,), (stride(coord, step),))


def _unfold(made: _Construction, draw: Draw) -> None:
    for taken in filter(None, [made.take(draw, 2)]):
        base, window = sorted(taken, key=made.length, reverse=True)
        made.put(taken, (unfold(base, window),))


def _reduce(made: _Construction, draw: Draw) -> None:
    if made.terms < made.words.terms // made.words.largest and made.reductions < 4:
        made.current.append(made.reduction(draw))


def _contract(made: _Construction, draw: Draw) -> None:
    if made.current and len(made.weights) < 3:
        count = draw(st.integers(1, min(3, len(made.current))))
        chosen = made.take(draw, count)
        made.weights.append(chosen)
        outer = draw(st.sets(st.sampled_from(chosen), max_size=2))
        made.put(tuple(outer), ())


_MOVES: Mapping[str, Callable[[_Construction, Draw], None]] = {
    "split": _split,
    "merge": _merge,
    "shift": _shift,
    "stride": _stride,
    "unfold": _unfold,
    "reduce": _reduce,
    "contract": _contract,
    "reduce again": _reduce,
    "unfold again": _unfold,
    "contract again": _contract,
}

__all__ = [
    "NUMBERS",
    "SYMBOLS",
    "Case",
    "Vocabulary",
    "bindings",
    "cases",
    "sizes",
    "valid_cases",
]

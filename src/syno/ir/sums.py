"""Solving a flat sum: from terms and constants to the coordinate that the primitives make.

A flat sum says nothing about the order in which windows, splits and strides were applied; sizes
decide. Where several orders fit, a window is applied last, the last window term outermost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from syno.ir.coord import Coord, split, stride, unfold
from syno.ir.errors import ParseError
from syno.ir.limits import EFFORT, MAX_TERMS
from syno.ir.size import ONE, Size

Terms = tuple[tuple[Size, Coord], ...]
Halves = tuple[Size, ...]
Constants = tuple[int, ...]
Solution = tuple[Coord, Constants]


@dataclass(frozen=True)
class Linear:
    """A sum: `terms` (factor, coordinate), window halves to subtract or, wrongly, to add, and
    literal constants."""

    terms: Terms = ()
    halves: Halves = ()
    constants: Constants = ()
    added_halves: Halves = ()

    def __add__(self, other: Linear) -> Linear:
        return Linear(
            self.terms + other.terms,
            self.halves + other.halves,
            self.constants + other.constants,
            self.added_halves + other.added_halves,
        )

    def negated(self) -> Linear:
        """Return the constants with the other sign; terms cannot be negated."""
        return Linear((), self.added_halves, tuple(-c for c in self.constants), self.halves)


class Solver:
    """Finds the coordinates that a sum can mean; one solver serves one text.

    The number of orders grows exponentially with the terms. Formulas that mean something need a
    handful of trials; `effort` bounds what the others may cost.
    """

    def __init__(self) -> None:
        self.effort = EFFORT

    def solve(self, sum_: Linear) -> Iterator[Solution]:
        """Yield (coordinate, unused constants) for every way to read the sum, the preferred first.

        Raises ParseError where there are too many ways to try.
        """
        if not sum_.added_halves and len(sum_.terms) <= MAX_TERMS:
            yield from self._solve(sum_.terms, sum_.halves, sum_.constants)

    def _solve(self, terms: Terms, halves: Halves, constants: Constants) -> Iterator[Solution]:
        self.effort -= 1
        if self.effort < 0:
            raise ParseError(
                "The sums of this formula can be read in too many ways: put parentheses around "
                "what belongs together."
            )
        if len(terms) == 1 and not halves:
            factor, coord = terms[0]
            if factor is ONE or factor.may_be_whole:
                yield (coord if factor is ONE else stride(coord, factor)), constants
        if len(terms) > 1:
            yield from self._windows(terms, halves, constants)
            yield from self._splits(terms, halves, constants)

    def _windows(self, terms: Terms, halves: Halves, constants: Constants) -> Iterator[Solution]:
        if not halves and not any(constant < 0 for constant in constants):
            return
        for chosen in _subsets(terms):
            window_terms = tuple(terms[i] for i in chosen)
            base_terms = tuple(term for i, term in enumerate(terms) if i not in chosen)
            for others, own in _shares(halves, len(chosen) > 1):
                for window, _ in self._solve(window_terms, own, ()):
                    left = _take_half(window.size, others, constants)
                    if left is not None:
                        for base, rest in self._solve(base_terms, left[0], left[1]):
                            yield unfold(base, window), rest

    def _splits(self, terms: Terms, halves: Halves, constants: Constants) -> Iterator[Solution]:
        for chosen in _subsets(terms):
            low_terms = tuple(terms[i] for i in chosen)
            for low, rest in self._solve(low_terms, halves, constants):
                high_terms = tuple(
                    (factor / low.size, coord)
                    for i, (factor, coord) in enumerate(terms)
                    if i not in chosen
                )
                if all(factor.is_multiple for factor, _ in high_terms):
                    for high, _ in self._solve(high_terms, (), ()):
                        yield split(high, low), rest


def why_not(sum_: Linear) -> str:
    """Return why no chain of primitives makes this sum."""
    if sum_.added_halves:
        return "A window is centred by subtracting k//2, not adding it."
    if not sum_.terms:
        return "A coordinate reads an iterator; a constant index reads one fixed element only."
    if len(sum_.terms) > MAX_TERMS:
        return f"The sum has {len(sum_.terms)} terms; one index adds at most {MAX_TERMS}."
    extra = sum(sum_.constants)
    if len(sum_.terms) == 1 and not sum_.halves and extra:
        sign, size = ("+" if extra > 0 else "-"), sum_.terms[0][1].size
        return (
            f"The constant {sign} {abs(extra)} reads out of nowhere, outside of [0, {size}): a "
            f"shift wraps around, write (... {sign} {abs(extra)}) % {size}."
        )
    if len(sum_.terms) == 1 and not sum_.terms[0][0].may_be_whole:
        return "A coordinate is divided with //, which keeps whole numbers: i // B."
    parts = " + ".join(f"{factor}*i:{coord.size}" for factor, coord in sum_.terms)
    parts += "".join(f" - {size}//2" for size in sum_.halves)
    parts += "".join(f" {'+' if c > 0 else '-'} {abs(c)}" for c in sum_.constants)
    return (
        f"No chain of primitives makes this sum ({parts.replace('1*', '')}). A window is "
        "h + a - k//2 with a:k; a split is i*B + j with j:B."
    )


def _shares(halves: Halves, may_own: bool) -> Iterator[tuple[Halves, Halves]]:
    """Yield (for this window and its base, for windows inside the window) shares of `halves`."""
    yield halves, ()
    if may_own:
        for size in range(1, len(halves)):
            for own in combinations(range(len(halves)), size):
                rest = tuple(half for i, half in enumerate(halves) if i not in own)
                yield rest, tuple(halves[i] for i in own)


def _take_half(size: Size, halves: Halves, constants: Constants) -> tuple[Halves, Constants] | None:
    """Use up the constant that centres a window of `size`: `- k//2`, or its literal value."""
    for place in range(len(halves) - 1, -1, -1):
        if halves[place] is size:
            return halves[:place] + halves[place + 1 :], constants
    if not size.symbols and size is not ONE:
        half = -(int(size.fraction({})) // 2)
        if half in constants:
            place = constants.index(half)
            return halves, constants[:place] + constants[place + 1 :]
    return None


def _subsets(terms: Terms) -> Iterator[tuple[int, ...]]:
    """Yield proper non-empty subsets of places: single terms first, later terms first."""
    places = range(len(terms) - 1, -1, -1)
    for size in range(1, len(terms)):
        yield from combinations(places, size)

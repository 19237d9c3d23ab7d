"""Reading one index expression: from a flat sum of terms to the coordinate the primitives make.

`h + a - k//2` is a window, `c*s + j` a split, `s*a` a stride, `(h + 1) % H` a shift. A flat sum
says nothing about the order in which these were applied; sizes decide. Where several orders fit, a
window is applied last, the last window term outermost; parentheses choose another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from syno.ir.coord import Coord, quotient, remainder, shift, split, stride, unfold
from syno.ir.errors import ParseError
from syno.ir.grammar import Node, size_of
from syno.ir.size import ONE, Size

_MAX_TERMS = 8


@dataclass
class Scope:
    """The iterators in force, by name."""

    iterators: dict[str, Coord] = field(default_factory=dict)


@dataclass(frozen=True)
class Linear:
    """A sum: `terms` (factor, coordinate), window halves to subtract, and literal constants."""

    terms: tuple[tuple[Size, Coord], ...] = ()
    halves: tuple[Size, ...] = ()
    constants: tuple[int, ...] = ()


class _Reading:
    """The interpretation of one expression in a scope."""

    def __init__(self, scope: Scope, text: str) -> None:
        self.scope = scope
        self.text = text

    def error(self, message: str, node: Node) -> ParseError:
        return ParseError(message, self.text, node.position)

    def has_iterator(self, node: Node) -> bool:
        if node.op == "name":
            return node.text in self.scope.iterators
        return any(self.has_iterator(each) for each in node.args)

    def linear(self, node: Node) -> Linear:
        """Return the sum that `node` writes."""
        if node.op in ("+", "-"):
            return self._add(node)
        if node.op == "group":
            return self._group(node)
        if node.op == "int":
            value = int(node.text)
            return Linear(constants=(value,) if value else ())
        if not self.has_iterator(node):
            return self._constant(node)
        if node.op == "name":
            return Linear(terms=((ONE, self.scope.iterators[node.text]),))
        if node.op in ("*", "/"):
            return self._scale(node)
        if node.op == "//":
            coord = self.coord(node.args[0])
            return _single(quotient(coord, self._block(node, coord)))
        if node.op == "%":
            return _single(self._modulo(node))
        raise self.error(f"{node.text!r} cannot stand in an index.", node)

    def coord(self, node: Node) -> Coord:
        """Return the coordinate that `node` writes; ParseError where the primitives make none."""
        return self.resolve(self.linear(node), node)

    def resolve(self, sum_: Linear, node: Node) -> Coord:
        for coord, rest in _solve(sum_.terms, sum_.halves, sum_.constants):
            if not rest:
                return coord
        raise self.error(_why_not(sum_), node)

    def _add(self, node: Node) -> Linear:
        left, right = (self.linear(each) for each in node.args)
        if node.op == "+":
            if right.halves and not right.terms:
                raise self.error("A window is centred by subtracting k//2, not adding it.", node)
            constants = left.constants + right.constants
            return Linear(left.terms + right.terms, left.halves + right.halves, constants)
        if right.terms:
            raise self.error("A coordinate cannot be subtracted: no primitive reverses.", node)
        halves = left.halves + right.halves
        return Linear(left.terms, halves, left.constants + tuple(-c for c in right.constants))

    def _group(self, node: Node) -> Linear:
        """Return a parenthesised sum as one term if the primitives make it, else as its terms."""
        inner = self.linear(node.args[0])
        if len(inner.terms) < 2 and not (inner.halves or inner.constants):
            return inner
        for coord, rest in _solve(inner.terms, inner.halves, inner.constants):
            if not rest:
                return _single(coord)
        return inner

    def _constant(self, node: Node) -> Linear:
        """Return a constant without iterators: half a window, `k//2`."""
        if node.op == "//" and node.args[1].text == "2":
            return Linear(halves=(size_of(node.args[0], self.text),))
        if node.op == "name":
            raise self.error(
                f"{node.text} is neither an output iterator nor summed over; known here: "
                f"{', '.join(self.scope.iterators) or 'none'}.",
                node,
            )
        raise self.error(
            "A constant in an index is half a window (k//2) or a number inside (... + 1) % H.", node
        )

    def _scale(self, node: Node) -> Linear:
        left, right = node.args
        if self.has_iterator(right):
            if self.has_iterator(left) or node.op == "/":
                raise self.error("A coordinate is multiplied by sizes only.", node)
            left, right = right, left
        factor = size_of(right, self.text)
        inner = self.linear(left)
        if len(inner.terms) != 1 or inner.halves or inner.constants:
            inner = _single(self.resolve(inner, left))
        (own, coord) = inner.terms[0]
        return Linear(terms=((own * factor if node.op == "*" else own / factor, coord),))

    def _block(self, node: Node, coord: Coord) -> Size:
        if self.has_iterator(node.args[1]):
            raise self.error("The right side of // and % is a size.", node)
        block = size_of(node.args[1], self.text)
        if block is ONE or block is coord.size:
            raise self.error(
                f"{node.text} {block} on a coordinate of size {coord.size} does nothing or leaves "
                "nothing: a merge needs a block between 1 and the size.",
                node,
            )
        return block

    def _modulo(self, node: Node) -> Coord:
        inner = self.linear(_ungroup(node.args[0]))
        modulus = None if self.has_iterator(node.args[1]) else size_of(node.args[1], self.text)
        for coord, rest in _solve(inner.terms, inner.halves, inner.constants):
            distance = sum(rest)
            if distance and coord.size is modulus:
                return shift(coord, distance)
        if len(inner.constants) and not inner.halves:
            raise self.error(
                f"A shift is taken modulo the size of what it shifts: {_why_not(inner)}", node
            )
        coord = self.resolve(inner, node)
        return remainder(coord, self._block(node, coord))


def read_index(node: Node, scope: Scope, text: str) -> Coord:
    """Return the coordinate that the expression `node` writes."""
    return _Reading(scope, text).coord(node)


def _ungroup(node: Node) -> Node:
    return _ungroup(node.args[0]) if node.op == "group" else node


def _single(coord: Coord) -> Linear:
    return Linear(terms=((ONE, coord),))


_Terms = tuple[tuple[Size, Coord], ...]


def _solve(
    terms: _Terms, halves: tuple[Size, ...], constants: tuple[int, ...]
) -> Iterator[tuple[Coord, tuple[int, ...]]]:
    """Yield (coordinate, unused constants) for every way to read the sum, the preferred first."""
    if not terms or len(terms) > _MAX_TERMS:
        return
    if len(terms) == 1 and not halves:
        factor, coord = terms[0]
        yield (coord if factor is ONE else stride(coord, factor)), constants
    if len(terms) > 1:
        yield from _windows(terms, halves, constants)
        yield from _splits(terms, halves, constants)


def _windows(
    terms: _Terms, halves: tuple[Size, ...], constants: tuple[int, ...]
) -> Iterator[tuple[Coord, tuple[int, ...]]]:
    for chosen in _subsets(terms):
        window_terms = tuple(terms[i] for i in chosen)
        base_terms = tuple(term for i, term in enumerate(terms) if i not in chosen)
        for others, own in _shares(halves, len(chosen) > 1):
            for window, _ in _solve(window_terms, own, ()):
                left = _take_half(window.size, others, constants)
                if left is not None:
                    for base, rest in _solve(base_terms, left[0], left[1]):
                        yield unfold(base, window), rest


def _shares(
    halves: tuple[Size, ...], may_own: bool
) -> Iterator[tuple[tuple[Size, ...], tuple[Size, ...]]]:
    """Yield (for this window and its base, for windows inside the window) shares of `halves`."""
    yield halves, ()
    if may_own:
        for size in range(1, len(halves)):
            for own in combinations(range(len(halves)), size):
                rest = tuple(half for i, half in enumerate(halves) if i not in own)
                yield rest, tuple(halves[i] for i in own)


def _take_half(
    size: Size, halves: tuple[Size, ...], constants: tuple[int, ...]
) -> tuple[tuple[Size, ...], tuple[int, ...]] | None:
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


def _splits(
    terms: _Terms, halves: tuple[Size, ...], constants: tuple[int, ...]
) -> Iterator[tuple[Coord, tuple[int, ...]]]:
    for chosen in _subsets(terms):
        low_terms = tuple(terms[i] for i in chosen)
        for low, rest in _solve(low_terms, halves, constants):
            high_terms = tuple(
                (factor / low.size, coord)
                for i, (factor, coord) in enumerate(terms)
                if i not in chosen
            )
            if all(_whole(factor) for factor, _ in high_terms):
                for high, _ in _solve(high_terms, (), ()):
                    yield split(high, low), rest


def _whole(factor: Size) -> bool:
    return all(power > 0 for power in factor.exponents.values())


def _subsets(terms: _Terms) -> Iterator[tuple[int, ...]]:
    """Yield proper non-empty subsets of places: single terms first, later terms first."""
    places = range(len(terms) - 1, -1, -1)
    for size in range(1, len(terms)):
        yield from combinations(places, size)


def _why_not(sum_: Linear) -> str:
    """Return why no chain of primitives makes this sum."""
    extra = sum(sum_.constants)
    if len(sum_.terms) == 1 and not sum_.halves and extra:
        sign, size = ("+" if extra > 0 else "-"), sum_.terms[0][1].size
        return (
            f"The constant {sign} {abs(extra)} reads out of nowhere, outside of [0, {size}): a "
            f"shift wraps around, write (... {sign} {abs(extra)}) % {size}."
        )
    if not sum_.terms:
        return "A coordinate reads an iterator; a constant index reads one fixed element only."
    parts = " + ".join(f"{factor}*i:{coord.size}" for factor, coord in sum_.terms)
    parts += "".join(f" - {size}//2" for size in sum_.halves)
    parts += "".join(f" {'+' if c > 0 else '-'} {abs(c)}" for c in sum_.constants)
    return (
        f"No chain of primitives makes this sum ({parts.replace('1*', '')}). A window is "
        "h + a - k//2 with a:k; a split is i*B + j with j:B."
    )

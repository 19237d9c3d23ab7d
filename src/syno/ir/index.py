"""Reading one index expression: from a syntax tree to the coordinate the primitives make.

`h + a - k//2` is a window, `c*s + j` a split, `s*a` a stride, `(h + 1) % H` a shift. Sums are
collected flat and solved in `sums.py`; parentheses around what is a coordinate of its own keep it
together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from syno.ir.coord import Coord, quotient, remainder, shift
from syno.ir.errors import ParseError
from syno.ir.grammar import Node, factor_of, size_of
from syno.ir.size import ONE, Size
from syno.ir.sums import Linear, Solution, Solver, why_not


@dataclass
class Scope:
    """The iterators in force, by name, and the solver of this text."""

    iterators: dict[str, Coord] = field(default_factory=dict)
    solver: Solver = field(default_factory=Solver)


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
            return _single(self.scope.iterators[node.text])
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
        found = self._first(sum_, node)
        if found is None:
            raise self.error(why_not(sum_), node)
        return found

    def _first(self, sum_: Linear, node: Node) -> Coord | None:
        """Return the preferred coordinate that uses up the whole sum, or None."""
        return next((coord for coord, rest in self._solutions(sum_, node) if not rest), None)

    def _solutions(self, sum_: Linear, node: Node) -> Iterator[Solution]:
        try:
            yield from self.scope.solver.solve(sum_)
        except ParseError as error:
            raise self.error(str(error), node) from None

    def _add(self, node: Node) -> Linear:
        left, right = (self.linear(each) for each in node.args)
        if node.op == "+":
            return left + right
        if right.terms:
            raise self.error(
                "A coordinate cannot be subtracted: no primitive reverses. Add it, or subtract a "
                "number inside of (... - 1) % H.",
                node,
            )
        return left + right.negated()

    def _group(self, node: Node) -> Linear:
        """Return a parenthesised sum as one term if the primitives make it, else as its terms."""
        inner = self.linear(node.args[0])
        if len(inner.terms) < 2:
            return inner
        found = self._first(inner, node)
        return inner if found is None else _single(found)

    def _constant(self, node: Node) -> Linear:
        """Return a constant without iterators: half a window, `k//2`."""
        if node.op == "//" and _ungroup(node.args[1]).text == "2":
            return Linear(added_halves=(size_of(node.args[0], self.text),))
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
                raise self.error(
                    "A coordinate is multiplied by sizes only, as in i*B: never by another "
                    "coordinate, and it never divides.",
                    node,
                )
            left, right = right, left
        factor = factor_of(right, self.text)
        inner = self.linear(left)
        if len(inner.terms) != 1 or inner != Linear(inner.terms):
            inner = _single(self.resolve(inner, left))
        (own, coord) = inner.terms[0]
        return Linear(terms=((own * factor if node.op == "*" else own / factor, coord),))

    def _block(self, node: Node, coord: Coord) -> Size:
        if self.has_iterator(node.args[1]):
            raise self.error("The right side of // and % is a size.", node)
        block = size_of(node.args[1], self.text)
        ratio = coord.size / block
        if block is ONE or ratio is ONE:
            raise self.error(
                f"{node.text} {block} on a coordinate of size {coord.size} does nothing or leaves "
                "nothing: a merge needs a block between 1 and the size.",
                node,
            )
        if not ratio.may_be_whole:
            raise self.error(
                f"{block} does not divide the size {coord.size}: a merge cuts into whole blocks.",
                node,
            )
        if coord.op == "remainder" and not ratio.is_multiple:
            # (i % D) % B is kept as i % B, which holds where B divides D: it has to be plain here,
            # since D is forgotten and no binding could be checked against it.
            raise self.error(
                f"It is not plain that {block} divides {coord.size} in (i % {coord.size}) "
                f"{node.text} {block}: write sizes of which one is a multiple of the other.",
                node,
            )
        return block

    def _modulo(self, node: Node) -> Coord:
        inner = self.linear(_ungroup(node.args[0]))
        modulus = None if self.has_iterator(node.args[1]) else size_of(node.args[1], self.text)
        for coord, rest in self._solutions(inner, node) if inner.constants else ():
            distance = sum(rest)
            if distance and coord.size is modulus:
                return shift(coord, distance)
        whole = self._first(inner, node)
        if whole is None and inner.constants and not inner.halves:
            raise self.error(
                f"A shift is taken modulo the size of what it shifts: {why_not(inner)}", node
            )
        coord = self.resolve(inner, node) if whole is None else whole
        return remainder(coord, self._block(node, coord))


def read_index(node: Node, scope: Scope, text: str) -> Coord:
    """Return the coordinate that the expression `node` writes."""
    return _Reading(scope, text).coord(node)


def _ungroup(node: Node) -> Node:
    return _ungroup(node.args[0]) if node.op == "group" else node


def _single(coord: Coord) -> Linear:
    return Linear(terms=((ONE, coord),))

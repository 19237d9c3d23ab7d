"""Patterns: both sides of a rule as coordinates, and how a coordinate is matched with one.

Symbols of a pattern stand for sizes, its iterators for coordinates, and the letters d, e and f for
distances of shifts, which are written as numbers that no formula holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import floordiv

from syno.ir.coord import Coord, output, rebuild, reduce, shift
from syno.ir.grammar import Node, Reader
from syno.ir.index import Scope, read_index
from syno.ir.size import Size, product
from syno.rules.table import Rule

_DISTANCES: Mapping[str, int] = {"d": 9_999_991, "e": 9_999_973, "f": 9_999_971}
_NAMES = {number: name for name, number in _DISTANCES.items()}
_LETTER = re.compile(r"\b[def]\b")


@dataclass
class Match:
    """What the iterators, the symbols and the distances of a pattern stand for."""

    coords: dict[Coord, Coord] = field(default_factory=dict)
    sizes: dict[str, Size] = field(default_factory=dict)
    distances: dict[str, int] = field(default_factory=dict)


@cache
def leaves_of(rule: Rule) -> Mapping[str, Coord]:
    """Return the iterators of `rule` as coordinates: reductions where the name says so.

    `o` is one more dimension of the output, which sum rules give to their weights.
    """
    named = {
        name: (reduce if name.startswith("r") else output)(place, Size.parse(size))
        for place, (name, size) in enumerate(rule.iterators.items())
    }
    return {**named, "o": output(len(named), Size.symbol("O"))}


def side(rule: Rule, text: str) -> Coord:
    """Return one side of an index rule as a coordinate over its symbols."""
    numbered = _LETTER.sub(lambda found: str(_DISTANCES[found[0]]), text)
    return read_index(Reader(numbered).sum(), Scope(dict(leaves_of(rule))), numbered)


def filled(rule: Rule, text: str, distances: Mapping[str, int]) -> Coord:
    """Return one side over its own symbols, with numbers for its distances."""
    right = side(rule, text)
    leaves = leaves_of(rule).values()
    symbols = {name for node in right.walk() for name in node.size.symbols}
    symbols |= {n for x in right.walk() if isinstance(x.arg, Size) for n in x.arg.symbols}
    same = Match({leaf: leaf for leaf in leaves}, {name: Size.symbol(name) for name in symbols})
    return instance(right, same, distances)


def matched(left: Coord, coord: Coord) -> Match | None:
    """Return what makes `coord` an instance of the pattern `left`; None where nothing does."""
    found = Match()
    return found if _match(left, coord, found) else None


def instance(right: Coord, match: Match, distances: Mapping[str, int]) -> Coord:
    """Return the pattern `right` with everything replaced by what it stands for."""
    if not right.args:
        return match.coords[right]
    args = tuple(instance(each, match, distances) for each in right.args)
    if right.op == "shift" and isinstance(right.arg, int):
        distance = distances[_NAMES[right.arg]]
        return shift(args[0], distance) if distance else args[0]
    if isinstance(right.arg, Size):
        sized = Coord(right.op, right.args, _bound(right.arg, match.sizes), right.size)
        return rebuild(sized, args)
    return rebuild(right, args)


def _bound(size: Size, sizes: Mapping[str, Size]) -> Size:
    """Return `size` with its symbols replaced by what they stand for."""
    return product([sizes[name] ** power for name, power in size.exponents.items()])


def _match(left: Coord, coord: Coord, match: Match) -> bool:
    if not left.args:
        if left.op == "reduce" and coord.op != "reduce":
            return False
        if match.coords.setdefault(left, coord) is not coord:
            return False
        return _bind(left.size, coord.size, match.sizes)
    if left.op != coord.op or len(left.args) != len(coord.args):
        return False
    if isinstance(left.arg, int) and isinstance(coord.arg, int):
        name = _NAMES[left.arg]
        if match.distances.setdefault(name, coord.arg) != coord.arg:
            return False
    if isinstance(left.arg, Size) and isinstance(coord.arg, Size):
        _bind(left.arg, coord.arg, match.sizes)
    pairs = zip(left.args, coord.args, strict=True)
    if not all(_match(one, two, match) for one, two in pairs):
        return False
    if isinstance(left.arg, Size) and not _bind(left.arg, coord.arg, match.sizes):
        return False
    return _bind(left.size, coord.size, match.sizes)


def _bind(left: Size, actual: object, sizes: dict[str, Size]) -> bool:
    """Bind the one unknown symbol of `left`, or compare; products of unknowns pass for now."""
    if not isinstance(actual, Size):
        return False
    unknown = [name for name in left.exponents if name not in sizes]
    rest = actual
    for name, power in left.exponents.items():
        if name in sizes:
            rest = rest / sizes[name] ** power
    if not unknown:
        return rest.packed == 0
    if len(unknown) == 1 and left.exponents[unknown[0]] == 1:
        if rest.packed == 0:
            return False
        sizes[unknown[0]] = rest
    return True


def letters(text: str) -> set[str]:
    """Return the distances that a text names."""
    return set(_LETTER.findall(text))


def number(
    node: Node, values: Mapping[str, int], divide: Callable[[int, int], int] = floordiv
) -> int:
    """Return the value of an expression of integers: + - * // % and parentheses.

    Values may be whatever calculates as integers do, with its own `divide` for //.
    """
    if node.op == "name":
        return values[node.text]
    if node.op == "int":
        return int(node.text)
    if node.op == "group":
        return number(node.args[0], values, divide)
    left, right = (number(each, values, divide) for each in node.args)
    results = {
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
        "//": lambda: divide(left, right),
        "%": lambda: left % right,
    }
    return results[node.op]()


@cache
def expression(text: str) -> Node:
    """Read an expression of integers."""
    return Reader(text).sum()


def holds(condition: str, values: Mapping[str, int]) -> bool:
    """Tell whether an equation or an inequality (`==`, `>`) between two expressions holds."""
    if not condition:
        return True
    sign = "==" if "==" in condition else ">"
    left, right = (number(expression(each), values) for each in condition.split(sign))
    return left == right if sign == "==" else left > right


__all__ = [
    "Match",
    "expression",
    "filled",
    "holds",
    "instance",
    "leaves_of",
    "letters",
    "matched",
    "number",
    "side",
]

"""Exact rules: spellings that have an equal, simpler one. Standing in the table is being tested.

A rule is data: the index formula before and after, the sizes of its iterators and a side condition.
`prove` evaluates both sides over all small sizes. Rules marked `built_in` are applied by the
constructors of `syno.ir.coord`, so that their left side never exists; the others reject a newly
made coordinate, because an equal operator is reached without it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from operator import attrgetter

from syno.ir.coord import Coord, output, reduce
from syno.ir.grammar import Reader
from syno.ir.index import Scope, read_index
from syno.ir.size import Size, product


@dataclass(frozen=True)
class Rule:
    """One exact rule.

    `iterators` gives each name its size; names starting with `r` match only bare reductions.
    `unseen` restricts the rule to states in which no weight has seen a part of what it replaces.
    `needs` lists (kind, size) of what the equal operator is built with, where that is not already
    in the left side: the rule is void where those sizes are not on offer.
    `after` is empty where the proof is an argument: the sum over a bijection of a reduction.
    """

    name: str
    before: str
    after: str
    iterators: Mapping[str, str]
    reason: str
    unseen: bool = False
    built_in: bool = False
    needs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Offer:
    """What a space offers, for rules that lead to an operator built with something else.

    `legal` tells whether a size may stand in an operator, by default one that is whole whatever its
    symbols stand for; None offers everything.
    """

    legal: Callable[[Size], bool] = attrgetter("is_multiple")
    blocks: Collection[Size] | None = None
    reductions: Collection[Size] | None = None
    shifts: Collection[int] | None = None

    def has(self, kind: str, size: Size) -> bool:
        """Tell whether a block or a reduction of `size` is on offer."""
        sizes = self.blocks if kind == "block" else self.reductions
        return sizes is None or size in sizes


ANYTHING = Offer()


RULES: tuple[Rule, ...] = (
    Rule(
        "quotient of quotient",
        "(i // B) // C",
        "i // (B*C)",
        {"i": "B*C*D"},
        "a block of blocks is a larger block",
        built_in=True,
    ),
    Rule(
        "remainder of remainder",
        "(i % (B*C)) % B",
        "i % B",
        {"i": "B*C*D"},
        "the place in a small block ignores larger ones",
        built_in=True,
    ),
    Rule(
        "quotient of remainder",
        "(i % (B*C)) // B",
        "(i // B) % C",
        {"i": "B*C*D"},
        "the middle digits can be cut from either end",
        built_in=True,
    ),
    Rule(
        "split of split",
        "(i*B + j)*C + l",
        "i*(B*C) + (j*C + l)",
        {"i": "G", "j": "B", "l": "C"},
        "digits join in either order",
        built_in=True,
    ),
    Rule("quotient of split", "(i*B + j) // B", "i", {"i": "G", "j": "B"}, "merge undoes split"),
    Rule("remainder of split", "(i*B + j) % B", "j", {"i": "G", "j": "B"}, "merge undoes split"),
    Rule(
        "quotient of split below",
        "(i*(B*C) + j) // C",
        "i*B + j // C",
        {"i": "G", "j": "B*C"},
        "merge the low part first, then split",
    ),
    Rule(
        "remainder of split below",
        "(i*(B*C) + j) % C",
        "j % C",
        {"i": "G", "j": "B*C"},
        "the high part does not reach the low digits",
    ),
    Rule(
        "quotient of split above",
        "(i*B + j) // (B*C)",
        "i // C",
        {"i": "C*D", "j": "B"},
        "the low part does not reach the high digits",
        needs=(("block", "C"),),
    ),
    Rule(
        "remainder of split above",
        "(i*B + j) % (B*C)",
        "(i % C)*B + j",
        {"i": "C*D", "j": "B"},
        "merge the high part first, then split",
        needs=(("block", "C"),),
    ),
    Rule(
        "split of merge",
        "(i // B)*B + i % B",
        "i",
        {"i": "B*C"},
        "split undoes merge",
        unseen=True,
    ),
    Rule(
        "shift of shift",
        "((i + 1) % N + 1) % N",
        "(i + 2) % N",
        {"i": "N"},
        "two shifts are one",
    ),
    Rule(
        "stride of stride",
        "B*(C*i)",
        "(B*C)*i",
        {"i": "N"},
        "two strides are one",
        built_in=True,
    ),
    Rule("quotient of stride", "(B*i) // B", "i", {"i": "N"}, "merge undoes stride"),
    Rule(
        "shift of reduction",
        "(r + 1) % N",
        "",
        {"r": "N"},
        "a sum does not change when its terms are renumbered; weights that see r are relabelled",
    ),
    Rule(
        "quotient of reduction",
        "r // B",
        "",
        {"r": "B*C"},
        "a sum over r is a sum over its two digits: two reductions",
        needs=(("reduction", "B"), ("reduction", "C")),
    ),
    Rule(
        "remainder of reduction",
        "r % B",
        "",
        {"r": "B*C"},
        "a sum over r is a sum over its two digits: two reductions",
        needs=(("reduction", "B"), ("reduction", "C")),
    ),
    Rule(
        "split of reductions",
        "ra*B + rb",
        "",
        {"ra": "G", "rb": "B"},
        "two sums that always travel together are one sum",
        needs=(("reduction", "G*B"),),
        unseen=True,
    ),
)


def pattern(rule: Rule) -> Coord:
    """Return the left side of `rule` as a coordinate over its symbols."""
    leaves = {
        name: (reduce if name.startswith("r") else output)(place, Size.parse(size))
        for place, (name, size) in enumerate(rule.iterators.items())
    }
    return read_index(Reader(rule.before).sum(), Scope(leaves), rule.before)


def rejects(coord: Coord, seen: Collection[Coord] = (), offer: Offer = ANYTHING) -> Rule | None:
    """Return the exact rule that gives `coord` a simpler spelling, or None.

    `seen` holds the coordinates that index weights: a rule marked `unseen` is void where one of
    them is a part of what it replaces. A rule is void, too, where `offer` lacks what the simpler
    one needs.
    """
    for rule, sizes, parts in _matching(coord):
        if parts.isdisjoint(seen) and _is_offered(rule, coord, sizes, offer):
            return rule
    return None


_Match = tuple[Rule, Mapping[str, Size], frozenset[Coord]]
_MATCHES: dict[Coord, tuple[_Match, ...]] = {}
_PATTERNS: list[tuple[Rule, Coord]] = []


def _matching(coord: Coord) -> tuple[_Match, ...]:
    if not _PATTERNS:
        _PATTERNS.extend((rule, pattern(rule)) for rule in RULES if not rule.built_in)
    if coord not in _MATCHES:
        found: list[_Match] = []
        for rule, left in _PATTERNS:
            coords: dict[Coord, Coord] = {}
            sizes: dict[str, Size] = {}
            if _match(left, coord, coords, sizes):
                parts = _parts(left, coord, coords) if rule.unseen else frozenset[Coord]()
                found.append((rule, sizes, parts))
        _MATCHES[coord] = tuple(found)
    return _MATCHES[coord]


def _parts(left: Coord, coord: Coord, coords: Mapping[Coord, Coord]) -> frozenset[Coord]:
    """Return the parts of `coord` that are gone in a simpler spelling, without its wholes.

    Of `(i // B)*B + i % B`, the digits are parts; `i` is a whole, which remains.
    """
    wholes = [coords[leaf] for leaf in left.leaves() if leaf not in left.args]
    return frozenset(coord.walk()).difference(*(whole.walk() for whole in wholes))


def _is_offered(rule: Rule, coord: Coord, sizes: Mapping[str, Size], offer: Offer) -> bool:
    """Tell whether the sizes that `rule` bound are whole, and what it needs is there."""
    if not all(offer.legal(size) for size in sizes.values()):
        return False
    if rule.name == "shift of shift" and offer.shifts is not None:
        return _distance(coord) in offer.shifts
    return all(offer.has(kind, _bound(text, sizes)) for kind, text in rule.needs)


def _distance(coord: Coord) -> int:
    """Return how far shifts of shifts move in all."""
    here = coord.arg if isinstance(coord.arg, int) else 0
    return here + _distance(coord.args[0]) if coord.op == "shift" else 0


def _bound(text: str, sizes: Mapping[str, Size]) -> Size:
    """Return the size `text` with its symbols replaced by what they are bound to."""
    powers = Size.parse(text).exponents
    return product([sizes[name] ** power for name, power in powers.items()])


def _match(left: Coord, coord: Coord, coords: dict[Coord, Coord], sizes: dict[str, Size]) -> bool:
    """Match the pattern `left`, binding its iterators and its symbols."""
    if not left.args:
        if left.op == "reduce" and coord.op != "reduce":
            return False
        if coords.setdefault(left, coord) is not coord:
            return False
        return _bind_size(left.size, coord.size, sizes)
    if left.op != coord.op or len(left.args) != len(coord.args):
        return False
    if isinstance(left.arg, Size) and isinstance(coord.arg, Size):
        _bind_size(left.arg, coord.arg, sizes)
    pairs = zip(left.args, coord.args, strict=True)
    if not all(_match(one, two, coords, sizes) for one, two in pairs):
        return False
    return not isinstance(left.arg, Size) or _bind_size(left.arg, coord.arg, sizes)


def _bind_size(left: Size, actual: object, sizes: dict[str, Size]) -> bool:
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
    return all(power > 0 for power in rest.exponents.values()) or len(unknown) == 1


__all__ = ["ANYTHING", "RULES", "Offer", "Rule", "pattern", "rejects"]

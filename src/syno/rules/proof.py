"""Proofs of exact rules by exhaustive evaluation over all small sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from syno.ir.grammar import Node, Reader
from syno.ir.size import Size
from syno.rules.fingerprint import fingerprint
from syno.rules.table import Rule
from syno.rules.witness import witnesses

_DISTANCES = (1, 2, 3)


@dataclass(frozen=True)
class Counterexample:
    """Sizes and iterator values for which the two sides of a rule differ."""

    rule: str
    sizes: Mapping[str, int]
    values: Mapping[str, int]
    before: int
    after: int


def prove(rule: Rule, largest: int = 6) -> Counterexample | None:
    """Return a counterexample of `rule` over all sizes from 1 to `largest`, or None.

    Raises ValueError for a rule without a right side: `prove_reduction` takes those.
    """
    if not rule.after:
        raise ValueError(f"{rule.name} has no right side; see prove_reduction")
    left, right = Reader(rule.before).sum(), Reader(rule.after).sum()
    for sizes in _bindings(rule, largest):
        lengths = [Size.parse(text).evaluate(sizes) for text in rule.iterators.values()]
        for point in product(*(range(length) for length in lengths)):
            values = dict(zip(rule.iterators, point, strict=True))
            before, after = (_value(node, {**sizes, **values}) for node in (left, right))
            if before != after:
                return Counterexample(rule.name, sizes, values, before, after)
    return None


def prove_reduction(rule: Rule, largest: int = 4) -> Counterexample | None:
    """Compare, by fingerprint, a weighted sum that uses `before` with one that does not.

    The data is read at the left side of the rule and a weight at its bare reductions; on the other
    side, the data is read at one fresh reduction for each dimension and the weight at the same.
    """
    one, two = witnesses(rule)
    for sizes in _bindings(rule, largest):
        full = {**sizes, "O": 2}
        if fingerprint(one, full) != fingerprint(two, full):
            return Counterexample(rule.name, sizes, {}, 0, 1)
    return None


def _bindings(rule: Rule, largest: int) -> Iterator[dict[str, int]]:
    texts = [rule.before, rule.after, *rule.iterators.values()]
    found = {name for text in texts if text for name in _names(Reader(text).sum())}
    symbols = sorted(found - set(rule.iterators))
    for numbers in product(range(1, largest + 1), repeat=len(symbols)):
        yield dict(zip(symbols, numbers, strict=True))


def _names(node: Node) -> Iterator[str]:
    if node.op == "name":
        yield node.text
    for each in node.args:
        yield from _names(each)


def _value(node: Node, values: Mapping[str, int]) -> int:
    """Evaluate an index formula on integers, by its ordinary meaning."""
    if node.op == "name":
        return values[node.text]
    if node.op == "int":
        return int(node.text)
    if node.op == "group":
        return _value(node.args[0], values)
    left, right = (_value(each, values) for each in node.args)
    results = {
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
        "//": lambda: left // right,
        "%": lambda: left % right,
    }
    return results[node.op]()


__all__ = ["Counterexample", "prove", "prove_reduction"]

"""Proofs of exact rules, by evaluation over all small sizes.

An index rule is proved when both sides have the same value, and are outside of the range for the
same iterators, under all sizes. A sum rule is proved when both sides have the same fingerprint.
`syno.testing.solver` proves some of them again, for iterators of any length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from syno.ir.coord import Coord
from syno.ir.semantics import Integers, evaluate
from syno.ir.size import Size
from syno.rules.fingerprint import fingerprint
from syno.rules.pattern import expression, filled, holds, leaves_of, letters, number
from syno.rules.table import Rule

_FACTOR = re.compile(r"(x|w[0-9])\[(.*?)\](?= \*|$)")


@dataclass(frozen=True)
class Counterexample:
    """Sizes, distances and iterator values for which the two sides of a rule differ."""

    rule: str
    sizes: Mapping[str, int]
    values: Mapping[str, int]
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Formula:
    """One side of a sum rule, read as it stands: no constructor brings it into another form."""

    input: tuple[Size, ...]
    output: tuple[Size, ...]
    data: tuple[Coord, ...]
    weights: tuple[tuple[Coord, ...], ...]
    outputs: tuple[Coord, ...]
    reductions: tuple[Coord, ...]


def prove(rule: Rule, largest: int = 6) -> Counterexample | None:
    """Return a counterexample of `rule` over all sizes from 2 to `largest`, or None.

    Sizes of 1 do not occur: no primitive makes them. Distances of shifts run up to `largest`.
    """
    check = _differ_as_sums if rule.before.startswith("x[") else _differ
    cases = (check(rule, sizes) for sizes in claims(rule, largest))
    return next((found for found in cases if found is not None), None)


def cases(rule: Rule, largest: int = 6) -> int:
    """Return the number of sizes and distances under which `rule` is compared."""
    return sum(1 for _ in claims(rule, largest))


def claims(rule: Rule, largest: int) -> Iterator[dict[str, int]]:
    """Yield numbers for the symbols and the distances of `rule` under which it claims to hold."""
    texts = [rule.before, rule.after, *rule.iterators.values()]
    found = {name for text in texts for name in names_in(_plain(text))}
    symbols = sorted(found - set(rule.iterators) - set("xow") - set("def"))
    given = sorted(letters(rule.before))
    for numbers in product(range(2, largest + 1), repeat=len(symbols)):
        for distances in product(range(1, largest + 1), repeat=len(given)):
            sizes = dict(zip([*symbols, *given], [*numbers, *distances], strict=True))
            where = {name: number(expression(text), sizes) for name, text in rule.where.items()}
            sizes |= where
            if holds(rule.condition, sizes):
                yield sizes


def _plain(text: str) -> str:
    """Return the names in a formula, without the letters of its tensors."""
    return re.sub(r"\bw[0-9]\[|\bx\[", " [", text)


def names_in(text: str) -> set[str]:
    """Return the names in a formula."""
    return set(re.findall(r"[A-Za-z]+", text))


def _differ(rule: Rule, sizes: Mapping[str, int]) -> Counterexample | None:
    """Compare the two sides of an index rule for all values of its iterators."""
    lengths = [Size.parse(text).evaluate(sizes) for text in rule.iterators.values()]
    grid = dict(zip(rule.iterators, np.indices(lengths), strict=True))
    before, after = (_value(rule, text, sizes, grid) for text in (rule.before, rule.after))
    wrong = np.argwhere(np.broadcast_to(before, lengths) != np.broadcast_to(after, lengths))
    if not len(wrong):
        return None
    point = tuple(wrong[0])
    values = {name: int(index) for name, index in zip(rule.iterators, point, strict=True)}
    sides = (np.broadcast_to(each, lengths)[point] for each in (before, after))
    one, two = (None if side < 0 else int(side) for side in sides)
    return Counterexample(rule.name, dict(sizes), values, one, two)


def _value(
    rule: Rule, text: str, sizes: Mapping[str, int], grid: Mapping[str, Integers]
) -> Integers:
    """Return the values of one side, -1 where it is outside of its range."""
    if not set(names_in(text)) & set(rule.iterators):
        return np.asarray(number(expression(text), sizes))
    leaves = leaves_of(rule)
    values = {leaves[name]: grid[name] for name in rule.iterators}
    value, inside = evaluate(filled(rule, text, sizes), values, sizes)
    if rule.beside:
        inside = inside & evaluate(filled(rule, rule.beside, sizes), values, sizes)[1]
    return np.where(inside, value, -1)


def _differ_as_sums(rule: Rule, sizes: Mapping[str, int]) -> Counterexample | None:
    """Compare the fingerprints of the two sides of a sum rule."""
    full = {**sizes, "O": 2}
    before, after = (formula(rule, text, full) for text in (rule.before, rule.after))
    if fingerprint(before, full) == fingerprint(after, full):
        return None
    return Counterexample(rule.name, dict(sizes), {}, 0, 1)


def formula(rule: Rule, text: str, sizes: Mapping[str, int]) -> Formula:
    """Read one side of a sum rule: names that start with r are summed, `o` and others are free."""
    leaves = leaves_of(rule)
    names = [name for name in rule.iterators if re.search(rf"\b{name}\b", text)]
    outputs = [leaf for leaf in leaves.values() if leaf.op == "output"]
    tensors = [
        tuple(filled(rule, each, sizes) for each in _entries(inside))
        for _, inside in _FACTOR.findall(text)
    ]
    return Formula(
        tuple(coord.size for coord in tensors[0]),
        tuple(leaf.size for leaf in outputs),
        tensors[0],
        tuple(tensors[1:]),
        tuple(outputs),
        tuple(leaves[name] for name in names if leaves[name].op == "reduce"),
    )


def _entries(text: str) -> list[str]:
    """Split `a, (b + c) % N, d` at its commas: no index holds one."""
    return [each.strip() for each in text.split(",")]


__all__ = ["Counterexample", "Formula", "cases", "claims", "formula", "names_in", "prove"]

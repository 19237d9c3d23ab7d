"""Every exact rule holds over all small sizes, and an unsound one is refuted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syno.ir.coord import (
    Coord,
    merge,
    output,
    quotient,
    reduce,
    remainder,
    shift,
    split,
    stride,
    unfold,
)
from syno.ir.operator import Index, Operator
from syno.ir.size import Size
from syno.rules import RULES, Offer, Rule, rejects
from syno.rules import proof as proofs
from syno.rules.proof import prove, prove_reduction
from syno.rules.table import pattern

WITH_SIDES = [rule for rule in RULES if rule.after]
OF_SUMS = [rule for rule in RULES if not rule.after]
B, C, G, H, OUT = (Size.symbol(name) for name in "BCGHO")


def named(rule: Rule) -> str:
    return rule.name.replace(" ", "-")


@pytest.mark.parametrize("rule", WITH_SIDES, ids=named)
def test_both_sides_are_equal_for_all_small_sizes(rule: Rule) -> None:
    assert prove(rule, 6) is None


@pytest.mark.parametrize("rule", OF_SUMS, ids=named)
def test_a_sum_is_the_same_without_the_left_side(rule: Rule) -> None:
    assert prove_reduction(rule) is None


@pytest.mark.nightly
@pytest.mark.parametrize("rule", OF_SUMS, ids=named)
def test_a_sum_is_the_same_for_larger_sizes(rule: Rule) -> None:
    assert prove_reduction(rule, 6) is None


def test_names_are_told_apart_and_reasons_are_given() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.reason for rule in RULES)


UNSOUND = [
    Rule("digits swapped", "(i*B + j) // B", "j", {"i": "B", "j": "B"}, "planted"),
    Rule("wrong digit", "(i*B + j) % B", "i", {"i": "B", "j": "B"}, "planted"),
    Rule("order of cuts", "(i // B) % C", "(i % C) // B", {"i": "B*C*D"}, "planted"),
    Rule("block lost", "(i // B) // C", "i // B", {"i": "B*C*D"}, "planted"),
    Rule("shift lost", "(i + 1) % N", "i", {"i": "N"}, "planted"),
    Rule("one shift of two", "((i + 1) % N + 1) % N", "(i + 1) % N", {"i": "N"}, "planted"),
    Rule("split of other parts", "(i // B)*B + i % C", "i", {"i": "B*C"}, "planted"),
    Rule("shift through a cut", "((i + 1) % (B*C)) // B", "i // B", {"i": "B*C"}, "planted"),
    Rule("stride lost", "B*i", "i", {"i": "N"}, "planted"),
    Rule("high part kept", "(i*(B*C) + j) % C", "i % C", {"i": "C", "j": "B*C"}, "planted"),
]


@pytest.mark.parametrize("rule", UNSOUND, ids=named)
def test_an_unsound_rule_is_refuted(rule: Rule) -> None:
    found = prove(rule)
    assert found is not None and found.before != found.after
    assert found.rule == rule.name


def weighted(shape: tuple[Size, ...], data: Index, *weights: Index) -> Operator:
    return Operator.build(shape, (OUT,), data, weights)


HIGH, LOW = merge(reduce(0, B * C), B)
R, Q, WHOLE, FIRST = reduce(0, G), reduce(1, B), reduce(2, G * B), output(0, OUT)
LIES = {
    "a weight that saw one digit alone": (
        weighted((C, B), (HIGH, LOW), (FIRST, HIGH)),
        weighted((C, B), (HIGH, LOW), (FIRST, HIGH, LOW)),
    ),
    "two sums of which a weight saw one": (
        weighted((G * B,), (split(R, Q),), (FIRST, R)),
        weighted((G * B,), (WHOLE,), (FIRST, WHOLE)),
    ),
    "a shift that a window sees": (
        weighted((G,), (unfold(shift(R, 1), Q),), (FIRST, R, Q)),
        weighted((G,), (unfold(R, Q),), (FIRST, R)),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_unsound_rule_about_sums_is_refuted(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "witnesses", lambda _rule: LIES[lie])
    rule = Rule("planted", "ra*B + rb + rc*C", "", {"ra": "G", "rb": "B", "rc": "C"}, "planted")
    assert prove_reduction(rule) is not None


def test_a_rule_without_a_right_side_needs_the_other_proof() -> None:
    with pytest.raises(ValueError, match="see prove_reduction"):
        prove(OF_SUMS[0])
    with pytest.raises(ValueError, match="no witness for planted"):
        prove_reduction(Rule("planted", "r", "", {"r": "N"}, "planted"))


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.built_in], ids=named)
def test_a_rule_rejects_its_own_left_side(rule: Rule) -> None:
    assert rejects(pattern(rule)) is not None


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.built_in], ids=named)
def test_a_built_in_rule_has_no_left_side_to_reject(rule: Rule) -> None:
    after = replace(rule, before=rule.after)
    assert pattern(rule) is pattern(after)


FINE = output(0, B * H)
COARSE = output(1, G)

KEPT: list[Coord] = [
    FINE,
    R,
    quotient(FINE, B),
    remainder(FINE, B),
    shift(FINE, 1),
    stride(FINE, B),
    split(FINE, COARSE),
    split(FINE, R),
    split(R, FINE),
    shift(quotient(FINE, B), 1),
    quotient(shift(FINE, 1), B),
    split(remainder(FINE, B), quotient(FINE, B)),
    split(quotient(FINE, B), remainder(COARSE, B)),
    split(quotient(FINE, B), shift(remainder(FINE, B), 1)),
]


@pytest.mark.parametrize("coord", KEPT, ids=lambda coord: coord.key)
def test_what_has_no_simpler_spelling_is_kept(coord: Coord) -> None:
    assert rejects(coord) is None


def test_digits_that_a_weight_has_seen_stay_apart() -> None:
    high, low = merge(FINE, B)
    joined = split(high, low)
    assert rejects(joined) is not None
    assert rejects(joined, {high}) is None
    assert rejects(joined, {low}) is None
    assert rejects(joined, {COARSE}) is not None


def test_a_weight_that_saw_the_whole_has_seen_no_part() -> None:
    joined = split(*merge(FINE, B))
    rule = rejects(joined, {FINE})
    assert rule is not None and rule.name == "split of merge"
    assert rejects(joined, {FINE, quotient(FINE, B)}) is None


def test_sums_that_a_weight_tells_apart_stay_two() -> None:
    assert rejects(split(R, Q)) is not None
    assert rejects(split(R, Q), {R}) is None
    assert rejects(split(R, Q), {Q}) is None


def test_a_rule_is_void_where_its_right_side_is_no_whole_size() -> None:
    """`(i*4 + j) // 6` is no `i // (6/4)`, and who knows what `G` and `B` are."""
    numbers = {"H": 9, "G": 4, "B": 6}
    cut = quotient(split(output(0, H), COARSE), B)
    assert rejects(cut, (), Offer(lambda _size: True)) is not None
    assert rejects(cut, (), Offer(lambda size: size.fraction(numbers).denominator == 1)) is None
    assert rejects(cut) is None


def test_a_rule_is_void_where_its_right_side_is_not_on_offer() -> None:
    above = quotient(split(FINE, COARSE), G * B)
    assert rejects(above, (), Offer(blocks=[B])) is not None
    assert rejects(above, (), Offer(blocks=[C])) is None
    pair = split(R, Q)
    assert rejects(pair, (), Offer(reductions=[B * G])) is not None
    assert rejects(pair, (), Offer(reductions=[B, G])) is None
    twice = shift(shift(FINE, 1), 1)
    assert rejects(twice, (), Offer(shifts=[1, 2])) is not None
    assert rejects(twice, (), Offer(shifts=[1])) is None

"""Every exact rule holds over all small sizes, and an unsound one is refuted."""

from __future__ import annotations

import pytest

from syno.ir.size import Values
from syno.rules import RULES, Canonical, Rule
from syno.rules.pattern import filled, matched, side
from syno.rules.proof import Counterexample, cases, claims, prove
from syno.rules.table import BUILT_IN, OF_INDICES, OF_SUMS
from syno.testing.solver import is_for_solver, solve

OF_TERMS = [rule for rule in RULES if rule.before.startswith("x[")]
OF_COORDS = [rule for rule in RULES if rule not in OF_TERMS]
FOR_SOLVER = [rule for rule in RULES if is_for_solver(rule)]


def named(rule: Rule) -> str:
    return rule.name.replace(" ", "-")


@pytest.mark.parametrize("rule", OF_COORDS, ids=named)
def test_both_sides_are_equal_for_all_sizes_up_to_6(rule: Rule) -> None:
    assert cases(rule, 6) >= 5
    assert prove(rule, 6) is None


@pytest.mark.parametrize("rule", OF_TERMS, ids=named)
def test_both_sides_are_one_operator_for_sizes_up_to_6(rule: Rule) -> None:
    assert cases(rule, 6) >= 3
    assert prove(rule, 6) is None


@pytest.mark.parametrize("rule", FOR_SOLVER, ids=named)
def test_the_solver_agrees_for_iterators_of_any_length(rule: Rule) -> None:
    assert solve(rule, 6) is None


def test_the_solver_takes_the_algebra_of_split_merge_and_stride() -> None:
    names = {rule.name for rule in FOR_SOLVER}
    assert {"quotient of quotient", "remainder of split above", "split of merge"} <= names
    assert len(FOR_SOLVER) > 15


def test_names_are_told_apart_and_reasons_are_given() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.reason and rule.iterators for rule in RULES)
    assert all(rule.seen for rule in OF_SUMS)


def planted(before: str, after: str, iterators: dict[str, str], condition: str = "") -> Rule:
    return Rule("planted", before, after, iterators, "planted", condition)


UNSOUND = {
    "digits swapped": planted("(i*B + j) // B", "j", {"i": "B", "j": "B"}),
    "wrong digit": planted("(i*B + j) % B", "i", {"i": "B", "j": "B"}),
    "order of cuts": planted("(i % (B*C)) // B", "(i // C) % C", {"i": "B*C*C"}),
    "block lost": planted("(i // B) // C", "i // B", {"i": "B*C*D"}),
    "shift lost": planted("(i + d) % N", "i", {"i": "N"}),
    "one shift of two": planted("((i + d) % N + e) % N", "(i + d) % N", {"i": "N"}),
    "split of other parts": planted("(i // C)*B + i % B", "i", {"i": "B*C"}),
    "shift through a cut": planted("((i + d) % (B*C)) // B", "i // B", {"i": "B*C"}),
    "stride lost": planted("B*i", "i", {"i": "N"}),
    "high part kept": planted("(i*(B*C) + j) % C", "i", {"i": "C", "j": "B*C"}),
    "carry forgotten": planted(
        "((i*B + j) + d) % (G*B)", "i*B + (j + d) % B", {"i": "G", "j": "B"}
    ),
    "windows in any order": planted(
        "(i + w - K//2) + v - L//2", "(i + v - L//2) + w - K//2", {"i": "N", "w": "K", "v": "L"}
    ),
    "centre of an odd window": planted(
        "(i + w - K//2)*B + j", "(i*B + j) + B*w - (B*K)//2", {"i": "G", "j": "B", "w": "K"}
    ),
    "a shift that a window sees": planted(
        "x[(r + rw - K//2 + d) % N] * w1[o,r,rw]",
        "x[r + rw - K//2] * w1[o,r,rw]",
        {"r": "N", "rw": "K"},
    ),
    "a weight that saw one digit alone": planted(
        "x[r // B, r % B] * w1[o, r // B]",
        "x[ra, rb] * w1[o,ra,rb]",
        {"r": "B*C", "ra": "C", "rb": "B"},
    ),
    "two sums of which a weight saw one": planted(
        "x[ra*B + rb] * w1[o,ra]", "x[r] * w1[o,r]", {"r": "B*C", "ra": "C", "rb": "B"}
    ),
    "ranks of another number": planted(
        "x[i] * w1[o,ra] * w2[i,ra]",
        "x[i] * w1[o,rb] * w2[i,rb]",
        {"ra": "B", "rb": "C", "i": "N"},
    ),
    "carry that a weight sees": planted(
        "x[(ra*B + i + d) % (C*B)] * w1[o,ra]",
        "x[ra*B + (i + d) % B] * w1[o,ra]",
        {"ra": "C", "i": "B"},
    ),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_rule_is_refuted(name: str) -> None:
    found = prove(UNSOUND[name], 4)
    assert found is not None and found.before != found.after
    assert found.rule == "planted"


def test_a_condition_that_never_holds_proves_nothing() -> None:
    void = planted("(i + w - K//2) % B", "i % B", {"i": "B*C", "w": "K"}, "K == 0")
    assert cases(void, 6) == 0 and prove(void) is None


@pytest.mark.parametrize("name", ["digits swapped", "wrong digit", "block lost", "stride lost"])
def test_the_solver_refutes_too(name: str) -> None:
    assert isinstance(solve(UNSOUND[name], 3), Counterexample)


def test_a_part_of_a_merge_may_forget_a_range_only_beside_the_other_part() -> None:
    rules = [rule for rule in RULES if rule.beside]
    assert {rule.name for rule in rules} == {
        "remainder of window over stride",
        "remainder of window over blocks",
        "remainder of shifted window over blocks",
    }
    for rule in rules:
        alone = planted(rule.before, rule.after, dict(rule.iterators), rule.condition)
        assert prove(alone) is not None and prove(rule) is None


# --------------------------------------------------------------------- the code does what rows say


@pytest.mark.parametrize("rule", OF_INDICES, ids=named)
def test_the_left_side_becomes_the_right_side(rule: Rule) -> None:
    numbers = next(claims(rule, 7))
    normal = Canonical(Values([numbers])).coord
    left = filled(rule, rule.before, numbers)
    if set(rule.after) & set("ijlvw"):
        right = filled(rule, rule.after, numbers)
        assert normal(left) is normal(right)
        assert normal(normal(left)) is normal(left)
    else:
        assert Canonical(Values([numbers])).is_constant(left)


@pytest.mark.parametrize("rule", BUILT_IN, ids=named)
def test_the_left_side_of_a_built_in_rule_does_not_exist(rule: Rule) -> None:
    assert side(rule, rule.before) is side(rule, rule.after)


def test_patterns_bind_iterators_symbols_and_distances() -> None:
    rule = next(rule for rule in RULES if rule.name == "shift by blocks")
    left = side(rule, rule.before)
    found = matched(left, filled(rule, rule.before, {"d": 3}))
    assert found is not None and found.distances == {"d": 3}
    assert {name: str(size) for name, size in found.sizes.items()} == {"G": "G", "B": "B"}
    assert matched(left, left.args[0]) is None

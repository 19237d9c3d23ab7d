"""The certificate: with the exact rules on, there is exactly one operator of each class."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from syno.rules import RULES, Rule
from syno.space.certificate import (
    Certificate,
    Enumerated,
    bounded,
    certify,
    compared,
    enumerated,
)
from syno.space.spec import Spec
from syno.space.specs import named_spec

DEPTHS = {"pool1d": 5, "image": 5, "linear": 4, "conv1d": 4, "conv2d": 4}
DEEPER = {"pool1d": 6, "image": 6, "linear": 5, "conv1d": 5, "conv2d": 5}


def full(name: str) -> Spec:
    """Return a named spec with everything on offer: more merges, shifts and sizes."""
    spec = named_spec(name)
    limits = replace(spec.limits, merges=2, shifts=2, splits=2)
    return replace(spec, reductions=None, blocks=None, limits=limits)


@cache
def without_rules(name: str, depth: int) -> Enumerated:
    """Return what there is with all rules off: once, for all tests."""
    return enumerated(bounded(named_spec(name), depth), ())


def compare(name: str, depth: int, rules: tuple[Rule, ...]) -> Certificate:
    kept = enumerated(bounded(named_spec(name), depth), rules)
    return compared(name, depth, without_rules(name, depth), kept)


def is_exact(found: Certificate) -> bool:
    counts = found.canonical_operators == found.classes > 0
    return counts and found.lost == found.redundant == found.gained == 0


@pytest.mark.parametrize("name", DEPTHS)
def test_nothing_is_lost_and_nothing_is_there_twice(name: str) -> None:
    found = compare(name, DEPTHS[name], RULES)
    assert is_exact(found), found
    assert found.redundant_by_rules == 0
    assert found.raw_operators > found.canonical_operators


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", DEEPER)
def test_nor_is_it_one_step_deeper(name: str) -> None:
    found = certify(named_spec(name), DEEPER[name])
    assert is_exact(found), found
    assert found.redundant_by_rules <= 0.02 * found.canonical_operators


@pytest.mark.parametrize(("name", "depth"), [("pool1d", 3), ("image", 3), ("linear", 4)])
def test_nor_with_everything_on_offer(name: str, depth: int) -> None:
    found = certify(full(name), depth)
    assert is_exact(found), found
    assert found.redundant_by_rules <= 0.02 * found.canonical_operators


def without(*names: str) -> tuple[Rule, ...]:
    assert set(names) <= {rule.name for rule in RULES}
    return tuple(rule for rule in RULES if rule.name not in names)


TAKEN_OUT = {
    ("pool1d", 5): [
        "quotient of split",
        "remainder of split",
        "quotient of split below",
        "remainder of split below",
        "split of merge",
        "shift of shift",
        "shift by blocks",
        "shift of stride",
        "split of a shifted part",
        "split of a strided merge",
        "stride of split",
        "window as wide as its stride",
        "window of low digit and steps",
        "window of low digit and longer steps",
        "window over high digit",
        "window and low digit of one size",
        "twin reductions",
        "shift under a summed high part",
        "window that a weight sees whole",
        "interchangeable reductions",
    ],
    ("image", 4): [
        "shift back",
        "remainder of shift by blocks",
        "quotient of shift by blocks",
        "remainder of shift",
    ],
    ("linear", 4): [
        "quotient of split above",
        "remainder of split above",
        "merge of reduction",
    ],
}
CASES = [(*where, name) for where, names in TAKEN_OUT.items() for name in names]


@pytest.mark.parametrize(("spec", "depth", "name"), CASES, ids=[case[2] for case in CASES])
def test_a_rule_taken_out_leaves_operators_twice(spec: str, depth: int, name: str) -> None:
    found = compare(spec, depth, without(name))
    assert found.lost == found.gained == 0
    assert found.redundant_by_rules > 0
    assert all(len(texts) > 1 for texts in found.redundant_operators)


PLANTED = {
    "a shift undone": Rule("planted", "(i + d) % N", "i", {"i": "N"}, "planted"),
    "digits swapped": Rule(
        "planted", "i*B + j", "j*G + i", {"i": "G", "j": "B"}, "planted", "B > G"
    ),
    "a cut from the other end": Rule("planted", "i // B", "i % C", {"i": "B*C"}, "planted"),
    "a wider window": Rule(
        "planted",
        "(i + w - K//2) + v - L//2",
        "i + (w*L + v) - (K*L)//2",
        {"i": "N", "w": "K", "v": "L"},
        "planted",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_unsound_rule_loses_operators(name: str) -> None:
    found = compare("image", 4, (PLANTED[name], *RULES))
    assert found.lost > 0
    assert found.lost_operators
    assert not is_exact(found)


def test_two_processes_find_the_same() -> None:
    one, two = (certify(named_spec("pool1d"), 4, processes=count) for count in (1, 2))
    assert replace(one, seconds=0.0) == replace(two, seconds=0.0)


def test_the_figures_say_how_much_work_there_is() -> None:
    found = compare("image", 4, RULES)
    assert found.raw_sequences > found.raw_operators > found.classes
    assert found.raw_states > found.canonical_states
    assert set(found.void) <= {"identity", "unread", "absorbed", "idle", "repeats", "scales"}
    assert found.as_dict()["lost"] == 0

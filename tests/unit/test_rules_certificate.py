"""The certificate: with the exact rules on, there is exactly one operator of each class."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syno.rules import RULES, Rule
from syno.space.certificate import Certificate, certify
from syno.space.spec import Spec
from syno.space.specs import named_spec

DEPTHS = {"pool1d": 5, "image": 5, "linear": 5, "conv1d": 4, "conv2d": 4}
DEEPER = {"pool1d": 6, "image": 6, "linear": 6, "conv1d": 5, "conv2d": 5}


def full(name: str) -> Spec:
    """Return a named spec with everything on offer: more merges, shifts and sizes."""
    spec = named_spec(name)
    limits = replace(spec.limits, merges=2, shifts=2, splits=2)
    return replace(spec, reductions=None, blocks=None, limits=limits)


def certified(name: str, depth: int) -> Certificate:
    return certify(named_spec(name), depth)


def is_exact(found: Certificate) -> bool:
    counts = found.canonical_operators == found.classes > 0
    return counts and found.lost == found.redundant == 0


@pytest.mark.parametrize("name", DEPTHS)
def test_nothing_is_lost_and_nothing_is_there_twice(name: str) -> None:
    found = certified(name, DEPTHS[name])
    assert is_exact(found), found
    assert found.redundant_by_rules == 0
    assert found.raw_operators > found.canonical_operators


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", DEEPER)
def test_nor_is_it_one_step_deeper(name: str) -> None:
    found = certified(name, DEEPER[name])
    assert is_exact(found), found
    assert found.redundant_by_rules <= 0.02 * found.canonical_operators


@pytest.mark.parametrize("name", ["pool1d", "image", "linear"])
def test_nor_with_everything_on_offer(name: str) -> None:
    found = certify(full(name), 4)
    assert is_exact(found), found
    assert found.redundant_by_rules == 0


def without(*names: str) -> tuple[Rule, ...]:
    assert set(names) <= {rule.name for rule in RULES}
    return tuple(rule for rule in RULES if rule.name not in names)


TAKEN_OUT = {
    "twin reductions": ("linear", 5),
    "twin ranks": ("linear", 5),
    "shift of reduction": ("image", 4),
    "merge of reduction": ("pool1d", 5),
    "split of merge": ("pool1d", 4),
    "quotient of split above": ("pool1d", 5),
    "shift under a summed high part": ("pool1d", 4),
    "interchangeable reductions": ("image", 4),
}


@pytest.mark.parametrize("name", TAKEN_OUT)
def test_a_rule_taken_out_leaves_operators_twice(name: str) -> None:
    spec, depth = TAKEN_OUT[name]
    found = certify(named_spec(spec), depth, rules=without(name))
    assert found.lost == 0
    assert found.redundant_by_rules > 0
    assert found.redundant_operators


PLANTED = {
    "a shift undone": Rule("planted", "(i + d) % N", "i", {"i": "N"}, "planted"),
    "digits swapped": Rule(
        "planted", "i*B + j", "j*G + i", {"i": "G", "j": "B"}, "planted", "B > G"
    ),
    "the low digit is the high one": Rule(
        "planted", "(i // B)*B + i % B", "(i % B)*C + i // B", {"i": "B*C"}, "planted"
    ),
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
    found = certify(named_spec("image"), 4, rules=(PLANTED[name], *RULES))
    assert found.lost > 0
    assert found.lost_operators
    assert not is_exact(found)


def test_two_processes_find_the_same() -> None:
    one, two = (certify(named_spec("pool1d"), 4, processes=count) for count in (1, 2))
    assert replace(one, seconds=0.0) == replace(two, seconds=0.0)


def test_the_figures_say_how_much_work_there_is() -> None:
    found = certified("image", 4)
    assert found.raw_sequences > found.raw_operators > found.classes
    assert found.raw_states > found.canonical_states
    assert set(found.void) <= {"identity", "unread", "absorbed", "idle", "repeats", "scales"}
    assert found.as_dict()["lost"] == 0

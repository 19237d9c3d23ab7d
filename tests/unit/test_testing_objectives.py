"""Objectives of known optimum: the target alone reaches it, and the decoy misleads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from random import Random
from statistics import mean

import pytest

from syno.search.outcome import Failed, Scored
from syno.search.protocol import Setting
from syno.search.random_search import RandomSearch
from syno.search.rollout import walk
from syno.search.sweep import Sweep
from syno.space.space import SynthesisSpace
from syno.space.specs import named_spec
from syno.testing.contracts import accuracy_of
from syno.testing.objectives import (
    Objective,
    Words,
    chosen_subset,
    copied_word,
    evaluations_to,
    features,
    imitated,
    jaccard,
    operators,
    spelled_word,
)

MADE: dict[str, Callable[[int], Objective]] = {
    "word": lambda seed: copied_word(4, 4, seed),
    "subset": lambda seed: chosen_subset(10, 4, seed),
    "spelling": lambda seed: spelled_word(4, seed),
    "linear": lambda seed: imitated("linear", 5, seed),
}


def candidates(objective: Objective) -> list[object]:
    sweep, seen = Sweep(objective.space, Random(0)), dict[object, None]()
    while (found := sweep.next(seen, 100_000)) is not None:
        seen[found] = None
    return list(seen)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("seed", range(2))
def test_one_candidate_has_the_value_1_and_no_other_has_95_hundredths(name: str, seed: int) -> None:
    objective = MADE[name](seed)
    values = sorted(objective.value(each) for each in candidates(objective))
    assert values[-1] == 1.0
    assert values[0] >= 0
    assert values[-2] < 0.95
    assert len(values) <= objective.size


@pytest.mark.parametrize("name", MADE)
def test_another_seed_has_another_target(name: str) -> None:
    found = {max(candidates(MADE[name](0)), key=MADE[name](seed).value) for seed in range(4)}
    assert len(found) > 1


def test_what_begins_as_the_decoy_is_worth_more_than_what_begins_as_the_target() -> None:
    objective = copied_word(5, 4)
    leaves = list(product(*([f"{place}{letter}" for letter in "abcd"] for place in range(5))))
    target = max(leaves, key=objective.value)
    worth = {
        letter: mean(objective.value(leaf) for leaf in leaves if leaf[0] == letter)
        for letter in {leaf[0] for leaf in leaves}
    }
    assert max(worth, key=lambda letter: worth[letter]) != target[0]
    assert worth[target[0]] > min(worth.values())  # but it is no worse than the rest


def test_features_say_what_an_operator_is_made_of() -> None:
    _, known = operators("linear", 5)
    for op in known:
        assert jaccard(features(op), features(op)) == 1.0
    assert len({tuple(sorted(features(op).items())) for op in known}) > len(known) / 2


def test_the_remembered_space_is_the_space() -> None:
    space, known = operators("linear", 5)
    plain = SynthesisSpace(named_spec("linear").up_to(5))
    assert len(known) == len(set(known))
    for seed in range(10):
        one = walk(space, space.root(), Random(seed))
        assert one == walk(plain, plain.root(), Random(seed))
    assert all(space.trace(op) == plain.trace(op) for op in known)


def test_some_candidates_fail_always_the_same_and_never_the_target() -> None:
    objective = imitated("linear", 5, failing=0.2)
    known = candidates(objective)
    failed = [each for each in known if isinstance(objective.outcome(each), Failed)]
    assert 0.1 < len(failed) / len(known) < 0.3
    assert isinstance(objective.outcome(max(known, key=objective.value)), Scored)


def test_evaluations_are_counted_in_the_order_asked() -> None:
    objective = copied_word(3, 3)
    strategy = RandomSearch(Setting(objective.space, accuracy_of, seed=4))
    values = [objective.value(each) for each in iter(strategy.ask, None)]
    for in_flight in (1, 5, 100):
        found = evaluations_to(RandomSearch, objective, 4, in_flight=in_flight)
        assert found == values.index(1.0) + 1
    assert evaluations_to(RandomSearch, objective, 4, share=1.1) is None


def test_words_keep_the_protocol() -> None:
    space = Words(longest=3)
    for seed in range(40):
        end = walk(space, space.root(), Random(seed))[-1]
        word, state = space.result(end), space.root()
        assert (word is None) == ("dd" in end)
        for move in space.trace(word or ""):
            assert move in space.moves(state)
            state = space.apply(state, move)
        assert state == (end if word else "")
    assert not space.trace("add")
    assert not space.trace("xyz")

"""Every registered strategy keeps the contract, and the contract finds what breaks it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import broken_strategies
import pytest

from syno.search.protocol import Setting
from syno.search.random_search import RandomSearch
from syno.search.registry import STRATEGIES, make_strategy
from syno.search.rollout import roll_out
from syno.testing import contracts
from syno.testing.contracts import CONTRACT, LEARNING, Drawn, Factory, Subsets, Tree, accuracy_of

Clause = Callable[[Factory], None]


@pytest.mark.parametrize("clause", CONTRACT, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_contract(name: str, clause: Clause) -> None:
    clause(STRATEGIES[name])


@pytest.mark.parametrize("clause", LEARNING, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"random"}))
def test_it_learns(name: str, clause: Clause) -> None:
    clause(STRATEGIES[name])


def test_every_clause_stands_in_the_contract() -> None:
    clauses = {
        value
        for name, value in vars(contracts).items()
        if callable(value) and getattr(value, "__annotations__", {}).get("return") == "None"
        if name[0] != "_" and next(iter(value.__annotations__)) == "make"
    }
    assert clauses == {*CONTRACT, *LEARNING}


BROKEN = [
    (broken_strategies.Forgetful, contracts.asks_nothing_twice, "asked twice"),
    (broken_strategies.EarlyEnd, contracts.asks_everything_once, "asked 5 of 6"),
    (broken_strategies.EarlyEnd, contracts.accepts_nothing_but_failures, "asked 5 of 6"),
    (broken_strategies.OwnDice, contracts.repeats_itself, "another sequence"),
    (broken_strategies.Seedless, contracts.follows_its_seed, "the seed is not used"),
    (broken_strategies.Hashing, contracts.repeats_itself_elsewhere, "PYTHONHASHSEED"),
    (broken_strategies.Fragile, contracts.accepts_every_outcome, "no accuracy"),
    (broken_strategies.NoSecond, contracts.has_several_in_flight, "while in flight"),
    (broken_strategies.NoSecond, contracts.asks_the_last_while_others_fly, "six candidates gave"),
    (broken_strategies.Uncounted, contracts.counts_what_is_in_flight, "3 in flight after all"),
    (broken_strategies.NewBorn, contracts.remembers_earlier_runs, "came from an earlier run"),
    (broken_strategies.Offended, contracts.accepts_strangers, "no way leads there"),
    (RandomSearch, contracts.finds_a_signal_sooner_than_chance, "the best of 625 was asked"),
    (RandomSearch, contracts.learns_from_earlier_runs, "with and .* without an earlier run"),
]


@pytest.mark.parametrize(
    ("make", "clause", "text"), BROKEN, ids=[f"{m.__name__}-{c.__name__}" for m, c, _ in BROKEN]
)
def test_a_broken_strategy_breaks_its_clause(make: Factory, clause: Clause, text: str) -> None:
    with pytest.raises((AssertionError, TypeError), match=text):
        clause(make)


def test_every_clause_has_a_strategy_that_breaks_it() -> None:
    assert {clause for _, clause, _ in BROKEN} == {*CONTRACT, *LEARNING}


def test_toy_spaces_keep_the_protocol() -> None:
    for space in (Tree(), Tree((2, 3), dead=True), Drawn(), Subsets()):
        rng = Random(0)
        for _ in range(20):
            end = (roll_out(space, space.root(), rng) or [space.root()])[-1]
            leaf = space.result(end)  # type: ignore[arg-type]
            if leaf is not None:
                state: Any = space.root()
                for move in space.trace(leaf):
                    assert move in space.moves(state)
                    state = space.apply(state, move)
                assert state == end
        assert not space.trace(("nowhere",))


def test_an_unknown_strategy_is_told_with_those_that_are_known() -> None:
    with pytest.raises(
        KeyError, match="no strategy 'luck'; known are: beam, evolution, mcts, random"
    ):
        make_strategy("luck", Setting(Tree(), accuracy_of))

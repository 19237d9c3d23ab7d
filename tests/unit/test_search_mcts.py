"""Tree search: finds a clear signal, counts what is in flight, and closes what is done."""

from __future__ import annotations

from random import Random
from statistics import median
from typing import Any

import pytest

from syno.search.mcts import MonteCarloTreeSearch, Statistics
from syno.search.outcome import Failed
from syno.search.protocol import Setting
from syno.search.random_search import RandomSearch
from syno.search.rollout import WEIGHTS, choose, roll_out
from syno.testing.contracts import (
    Subsets,
    Tree,
    Turn,
    accuracy_of,
    asked,
    asks_until_best,
    likeness,
    scored,
)


def search(space: Any = None, seed: int = 0) -> MonteCarloTreeSearch:
    return MonteCarloTreeSearch(Setting(space or Tree(), accuracy_of, seed))


def test_a_clear_signal_is_found_much_sooner_than_by_chance() -> None:
    space, seeds = Tree((5, 5, 5, 5)), range(9)
    tree = median(asks_until_best(MonteCarloTreeSearch, space, seed) for seed in seeds)
    chance = median(asks_until_best(RandomSearch, space, seed) for seed in seeds)
    assert tree < 0.5 * chance


def test_a_reward_that_says_nothing_is_followed_nowhere() -> None:
    space = Tree((5, 5, 5))
    found = asked(search(space), 60, lambda _leaf: scored(0.5))
    assert len({leaf[0] for leaf in found}) == 5


def test_a_candidate_in_flight_counts_as_a_visit_that_earned_nothing() -> None:
    strategy = search()
    leaf = strategy.ask()
    root = strategy.nodes[()].statistics
    assert (root.visits, root.total) == (1, 0)
    strategy.tell(leaf, scored(0.75))
    assert (root.visits, root.total, root.squares) == (1, 0.75, 0.75**2)
    assert not strategy.flights


def test_what_was_in_flight_leaves_no_trace_once_told() -> None:
    strategy = search()
    flying = [strategy.ask() for _ in range(12)]
    for leaf in reversed(flying):
        strategy.tell(leaf, likeness(leaf))
    total = sum(likeness(leaf).accuracy for leaf in flying)
    assert strategy.nodes[()].statistics.visits == 12
    assert strategy.nodes[()].statistics.total == pytest.approx(total)
    for leaf in flying:
        assert strategy.nodes[leaf].statistics.visits == 1
        assert strategy.nodes[leaf].statistics.total == likeness(leaf).accuracy


@pytest.mark.parametrize("space", [Tree((3, 3, 2)), Subsets(6, 3)])
def test_every_visit_is_an_evaluation_and_none_is_counted_twice(space: Any) -> None:
    strategy = search(space)
    found = asked(strategy, 10)
    root = strategy.nodes[space.root()].statistics
    assert root.visits == 10
    assert root.total == pytest.approx(sum(likeness(leaf).accuracy for leaf in found))


def test_candidates_in_flight_are_spread_over_the_tree() -> None:
    strategy = search(Tree((4, 4, 4)))
    flying = [strategy.ask() for _ in range(8)]
    assert len({leaf[0] for leaf in flying if leaf}) > 1


def test_an_outcome_told_twice_counts_once_more_but_never_negative() -> None:
    strategy = search()
    leaf = strategy.ask()
    strategy.tell(leaf, scored(1.0))
    strategy.tell(leaf, scored(1.0))
    assert all(node.statistics.visits >= 0 for node in strategy.nodes.values())


@pytest.mark.parametrize("space", [Tree((3, 3, 2), dead=True), Subsets(6, 3)])
def test_closed_states_are_never_entered(space: Any) -> None:
    strategy = search(space)
    while True:
        closed = {state for state, node in strategy.nodes.items() if node.closed}
        leaf = strategy.ask()
        if leaf is None:
            break
        assert not closed & set(strategy.flights[leaf].path)
        strategy.tell(leaf, likeness(leaf))
    assert strategy.nodes[space.root()].closed


def test_equal_states_share_their_statistics() -> None:
    strategy = search(Subsets(4, 2))
    found = asked(strategy, 50, lambda _leaf: scored(1.0))
    assert len(found) == 6
    assert sum(len(state) == 2 for state in strategy.nodes) == 6


def test_what_an_earlier_run_learned_guides_this_one() -> None:
    space = Tree((5, 5))
    strategy = search(space)
    for leaf in space.leaves():
        if leaf[1] != "1a":
            strategy.tell(leaf, scored(float(leaf[0] == "0c")))
    assert strategy.ask() == ("0c", "1a")


def test_a_failure_earns_nothing_and_is_remembered() -> None:
    strategy = search(Tree((2, 2)))
    leaf = strategy.ask()
    strategy.tell(leaf, Failed("crashed", "planted"))
    assert strategy.nodes[()].statistics.mean == 0
    assert leaf not in asked(strategy, 9)


def test_the_bound_is_that_of_ucb1_tuned() -> None:
    spread = Statistics()
    assert spread.upper(10) == float("inf")
    for reward in (0.0, 1.0):
        spread.add(reward)
    steady = Statistics()
    for _ in range(2):
        steady.add(0.5)
    assert spread.mean == steady.mean == 0.5
    # log(8)/2 = 1.0397: the variance term is capped at 1/4 for both, so that the bounds agree
    assert spread.upper(8) == steady.upper(8) == pytest.approx(0.5 + (1.03972 / 4) ** 0.5, rel=1e-4)
    for _ in range(200):
        spread.add(0.0)
        spread.add(1.0)
        steady.add(0.5)
        steady.add(0.5)
    assert spread.upper(404) > steady.upper(404)  # once known well, what varies is looked at more


def test_a_rollout_draws_a_primitive_first_by_its_weight() -> None:
    moves = [Turn("split", f"s{i}") for i in range(50)]
    moves += [Turn("merge", "m"), Turn("shift", "t"), Turn("finish", "f")]
    rng, count = Random(0), 20_000
    drawn = [choose(moves, rng).primitive for _ in range(count)]
    total = 1 + 1 + WEIGHTS["shift"] + WEIGHTS["finish"]
    wanted = {"split": 1.0, "merge": 1.0, **WEIGHTS}
    for name, weight in wanted.items():
        assert drawn.count(name) / count == pytest.approx(weight / total, abs=0.02)


def test_all_moves_of_the_drawn_primitive_are_equally_likely() -> None:
    moves = [Turn("split", f"s{i}") for i in range(4)]
    rng = Random(1)
    drawn = [choose(moves, rng).word for _ in range(8_000)]
    assert all(abs(drawn.count(move.word) / 8_000 - 0.25) < 0.03 for move in moves)


def test_weights_name_primitives_that_exist() -> None:
    from syno.space.moves import GENERATORS

    assert set(WEIGHTS) <= {*GENERATORS, "finish"}


def test_a_rollout_ends_in_a_candidate_or_in_a_dead_end() -> None:
    space, rng = Tree((2, 2), dead=True), Random(0)
    ends = [roll_out(space, space.root(), rng)[-1] for _ in range(60)]
    assert {len(end) for end in ends if space.result(end)} == {2}
    assert any(end[-1] == "dead" for end in ends)
    assert roll_out(space, ("dead",), rng) == []

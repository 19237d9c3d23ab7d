"""Tree search: finds a clear signal, counts what is in flight, and closes what is done."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Any

import pytest

from syno.search.mcts import MonteCarloTreeSearch, _Option
from syno.search.outcome import Failed
from syno.search.protocol import Setting
from syno.search.random_search import RandomSearch
from syno.search.rollout import WEIGHTS, choose, roll_out, walk
from syno.search.statistics import Average, Statistics, spread
from syno.search.tree import Tree as Graph
from syno.search.tree import on
from syno.testing.contracts import (
    Drawn,
    Leaf,
    Subsets,
    Tree,
    Turn,
    accuracy_of,
    asked,
    asks_until_best,
    likeness,
    scored,
)
from syno.testing.objectives import Words, copied_word, evaluations_to


@dataclass(frozen=True)
class Wide(Tree):
    """A tree of one primitive with a hundred branches at its root."""

    def moves(self, state: Leaf) -> list[Turn]:
        if len(state) == 2:
            return []
        return [Turn("only", f"{len(state)}{number}") for number in range(100)]

    def result(self, state: Leaf) -> Leaf | None:
        return state if len(state) == 2 else None

    def trace(self, candidate: Leaf) -> list[Turn]:
        return [Turn("only", word) for word in candidate]


def moves_of(table: dict[Any, Average]) -> list[tuple[Turn, Average]]:
    """Return the entries of a table that stand for moves, not for primitives."""
    return [(key, one) for key, one in table.items() if isinstance(key, Turn)]


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


def everything(strategy: MonteCarloTreeSearch) -> list[Statistics]:
    """Return the statistics of all states and branches of a search."""
    nodes = list(strategy.tree.nodes.values())
    branches = [branch for node in nodes for branch in (node.branches or {}).values()]
    children = [child for branch in branches for child in branch.children.values()]
    return [each.statistics for each in (*nodes, *branches, *children)]


def test_a_candidate_in_flight_counts_as_a_walk_without_a_reward() -> None:
    strategy = search()
    leaf = strategy.ask()
    root = strategy.tree.root.statistics
    assert (root.visits, root.flying, root.walks) == (0, 1, 1)
    strategy.tell(leaf, scored(0.75))
    assert (root.visits, root.flying, root.walks) == (1, 0, 1)
    assert (root.total, root.squares) == (0.75, 0.75**2)
    assert not strategy.flights


@pytest.mark.parametrize("space", [Tree(), Tree(dead=True), Drawn(dead=True), Subsets()])
def test_what_was_in_flight_leaves_no_trace_once_told(space: Any) -> None:
    strategy = search(space)
    flying = [strategy.ask() for _ in range(12)]
    assert sum(each.flying for each in everything(strategy)) > 12
    for leaf in reversed(flying):
        strategy.tell(leaf, likeness(leaf))
    total = sum(likeness(leaf).accuracy for leaf in flying)
    assert strategy.tree.root.statistics.visits == 12
    assert strategy.tree.root.statistics.total == pytest.approx(total)
    assert all(each.flying == 0 for each in everything(strategy))


def test_a_virtual_loss_lowers_the_value_of_a_place_until_its_candidate_is_told() -> None:
    strategy = search()
    option = _Option(Statistics(4, 2.0, 1.0), Average(), Average())
    above = Statistics(20, 10.0, 5.0)
    before = strategy._bound(above, option)
    option.own.flying = 2
    unsure = strategy._bound(above, option)
    assert unsure < before  # it is less uncertain what is there
    strategy.virtual_loss = 1.0
    assert strategy._bound(above, option) < unsure
    option.own.flying = 0
    assert strategy._bound(above, option) == before


@pytest.mark.parametrize("space", [Tree((3, 3, 2)), Subsets(6, 3)])
def test_every_visit_is_an_evaluation_and_none_is_counted_twice(space: Any) -> None:
    strategy = search(space)
    found = asked(strategy, 10)
    root = strategy.tree.root.statistics
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
    assert strategy.tree.root.statistics.visits == 2
    assert all(each.visits >= 0 and each.flying == 0 for each in everything(strategy))


@pytest.mark.parametrize("space", [Tree((3, 3, 2), dead=True), Subsets(6, 3)])
def test_closed_states_are_never_entered(space: Any) -> None:
    strategy = search(space)
    while True:
        closed = {state for state, node in strategy.tree.nodes.items() if node.closed}
        leaf = strategy.ask()
        if leaf is None:
            break
        assert not closed & {step.node.state for step in strategy.flights[leaf]}
        strategy.tell(leaf, likeness(leaf))
    assert strategy.tree.root.closed


def test_equal_states_share_their_statistics() -> None:
    strategy = search(Subsets(5, 3))
    found = asked(strategy, 50, lambda _leaf: scored(1.0))
    assert len(found) == 10
    assert sum(len(state) == 2 for state in strategy.tree.nodes) == 10


@pytest.mark.parametrize("space", [Tree(), Drawn(), Subsets(8, 4)])
def test_the_table_grows_by_a_state_for_each_walk_and_holds_no_finished_one(space: Any) -> None:
    strategy = search(space)
    asked(strategy, 20)
    root = strategy.tree.root.statistics
    assert len(strategy.tree.nodes) <= root.visits + root.vain + 1
    assert all(space.result(state) is None for state in strategy.tree.nodes)


def test_a_closed_state_remembers_nothing_of_the_ways_below() -> None:
    strategy = search(Tree((2, 2)))
    asked(strategy, 9)
    assert all(node.branches == {} for node in strategy.tree.nodes.values() if node.closed)
    assert not any(hasattr(each, "__dict__") for each in everything(strategy))


def test_a_move_is_known_by_what_it_was_worth_elsewhere() -> None:
    strategy = search(Tree((3, 3)))
    strategy.tell(("0a", "1b"), scored(1.0))
    strategy.tell(("0b", "1c"), scored(0.0))
    worth = {turn.word: one.total / one.visits for turn, one in moves_of(strategy.anywhere)}
    assert worth == {"0a": 1.0, "1b": 1.0, "0b": 0.0, "1c": 0.0}
    branches = strategy.tree.branches(strategy.tree.root)
    below = dict(moves_of(branches["even"].as_first))
    assert {turn.word for turn in below} == {"0a"}  # of the moves at the root, not those below
    assert branches["odd"].as_first["odd"].visits == 1


def test_a_move_taken_twice_counts_below_its_first_time() -> None:
    strategy = search(Words(longest=3))
    strategy.tell("aa", scored(1.0))
    strategy.tell("aab", scored(1.0))
    node = strategy.tree.nodes["a"]
    assert strategy.tree.branches(node)["a"].as_first["a"].visits == 1


def test_the_moves_looked_at_grow_with_the_walks() -> None:
    strategy = search(Wide())
    opened = []
    for _ in range(64):
        asked(strategy, 1)
        opened.append(len(strategy.tree.branches(strategy.tree.root)["only"].children))
    assert opened[0] == 1
    for walks, count in enumerate(opened):
        assert count <= strategy.widening * (walks + 1) ** 0.5 + 1


def test_what_an_earlier_run_learned_guides_this_one() -> None:
    space = Tree((5, 5))
    strategy = search(space)
    for leaf in space.leaves():
        if leaf[1] != "1a":
            strategy.tell(leaf, scored(float(leaf[0] == "0c")))
    assert ("0c", "1a") in {strategy.ask(), strategy.ask()}


def test_a_failure_earns_nothing_and_is_remembered() -> None:
    strategy = search(Tree((2, 2)))
    leaf = strategy.ask()
    strategy.tell(leaf, Failed("crashed", "planted"))
    assert strategy.tree.root.statistics.mean == 0
    assert leaf not in asked(strategy, 9)


def test_the_bound_is_that_of_ucb1_tuned() -> None:
    # log(8)/2 = 1.0397: the variance is capped at 1/4 whatever it is, as long as little is known
    for variance in (0.0, 0.25):
        assert spread(variance, 2, 8) == pytest.approx((1.03972 / 4) ** 0.5, rel=1e-4)
    # once known well, what varies is looked at more: log(404)/202 = 0.02971
    assert spread(0.0, 202, 404) == pytest.approx((0.02971 * (2 * 0.02971) ** 0.5) ** 0.5, rel=1e-3)
    assert spread(0.25, 202, 404) == pytest.approx((0.02971 / 4) ** 0.5, rel=1e-3)


def test_statistics_by_hand() -> None:
    found = Statistics()
    assert (found.mean, found.variance) == (0.0, 0.25)
    found.add(0.0)
    found.add(1.0)
    assert (found.visits, found.mean, found.variance) == (2, 0.5, 0.25)
    assert Average().shrunk(0.3, 2.0) == pytest.approx(0.3)
    assert Average(2, 2.0).shrunk(0.0, 2.0) == 0.5  # as many rewards as the prior is worth


def test_a_way_is_followed_as_far_as_it_is_opened_and_one_step_more() -> None:
    space = Tree((2, 2, 2))
    graph = Graph(space, Random(0))
    moves = space.trace(("0a", "1b", "2a"))
    assert [len(graph.follow(moves)) for _ in range(4)] == [1, 2, 3, 3]
    assert [each.visits for each in on(graph.follow(moves))] == [0] * 7
    assert not graph.follow(Words().trace("ab"))


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


def test_a_space_that_draws_rollouts_itself_is_asked_for_them() -> None:
    space = Drawn((2, 2))
    ends = {tuple(roll_out(space, space.root(), Random(seed))) for seed in range(60)}
    assert ends == {(), *((leaf,) for leaf in space.leaves())}
    assert len(walk(space, space.root(), Random(0))) == 2


def test_a_space_that_cannot_draw_them_is_walked() -> None:
    class Unsure(Drawn):
        def roll_out(self, state: Leaf, rng: Random) -> None:  # type: ignore[override]
            del state, rng

    assert len(roll_out(Unsure((2, 2)), (), Random(0))) == 2


def test_a_misleading_objective_is_solved_with_a_third_of_what_chance_asks() -> None:
    objective, seeds = copied_word(6), range(5)
    alone = [evaluations_to(MonteCarloTreeSearch, objective, seed) for seed in seeds]
    chance = [evaluations_to(RandomSearch, objective, seed) for seed in seeds]
    assert 3 * median(known(alone)) <= median(known(chance))


def test_a_hundred_in_flight_cost_little_more_than_one() -> None:
    objective, seeds = copied_word(), range(3)
    alone = [evaluations_to(MonteCarloTreeSearch, objective, seed) for seed in seeds]
    many = [evaluations_to(MonteCarloTreeSearch, objective, seed, in_flight=100) for seed in seeds]
    assert median(known(many)) <= 1.3 * median(known(alone))


def known(counts: list[int | None]) -> list[int]:
    """Return `counts`, of which none is missing: the optimum was found."""
    assert None not in counts
    return [count for count in counts if count is not None]

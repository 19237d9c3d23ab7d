"""Evolution, beam and the sweep that both fall back on."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from syno.search.beam import BeamSearch
from syno.search.evolution import Evolution, Member
from syno.search.protocol import Setting
from syno.search.sweep import Sweep
from syno.testing.contracts import Subsets, Tree, Turn, accuracy_of, asked, likeness, scored
from syno.testing.objectives import Words


class FewMembers(Evolution):
    population, tournament = 6, 3


class OneTry(Evolution):
    tries = 1


class NarrowBeam(BeamSearch):
    width, branches = 1, 3


def setting(space: Any = None, seed: int = 0) -> Setting:
    return Setting(space or Tree((4, 4, 4)), accuracy_of, seed)


# sweep ------------------------------------------------------------------------------------------


SIZES = [
    (Tree((3, 4)), 12),
    (Tree((3, 4), dead=True), 12),
    (Subsets(5, 2), 10),
    (Words("ad", 3), 10),
]


@pytest.mark.parametrize(("space", "size"), SIZES)
def test_a_sweep_meets_every_candidate(space: Any, size: int) -> None:
    sweep, seen = Sweep(space, Random(0)), set[Any]()
    while (found := sweep.next(seen, 1_000)) is not None:
        seen.add(found)
    assert len(seen) == size
    assert all(space.trace(found) for found in seen)
    assert sweep.next(set(), 1_000) is None


def test_a_sweep_goes_through_each_state_once() -> None:
    entered: list[Any] = []

    class Counting(Subsets):
        def moves(self, state: frozenset[str]) -> Any:
            entered.append(state)
            return super().moves(state)

    sweep, seen = Sweep(Counting(6, 3), Random(0)), set[Any]()
    while (found := sweep.next(seen, 1_000)) is not None:
        seen.add(found)
    assert len(entered) == len(set(entered)) == 1 + 6 + 15


def test_a_sweep_goes_on_where_its_steps_were_over() -> None:
    sweep = Sweep(Tree((3, 3)), Random(0))
    seen: set[Any] = set()
    rounds = 0
    while len(seen) < 9:
        rounds += 1
        found = sweep.next(seen, 2)
        seen |= {found} - {None}
    assert 9 <= rounds < 40


# evolution --------------------------------------------------------------------------------------


def test_the_oldest_member_leaves_however_good_it_is() -> None:
    strategy = FewMembers(setting())
    best = ("0a", "1a", "2a")
    strategy.tell(best, likeness(best))
    asked(strategy, 5)
    assert strategy.members[0].reward == 1.0
    asked(strategy, 1)
    assert len(strategy.members) == 6
    assert 1.0 not in {member.reward for member in strategy.members}


def test_a_child_begins_as_its_parent_does() -> None:
    strategy = FewMembers(setting())
    moves = strategy.setting.space.trace(("0b", "1c", "2d"))
    cuts = {strategy._cut(Member(moves, 1.0)) for _ in range(50)}
    assert cuts == {(), ("0b",), ("0b", "1c")}


def test_the_best_of_a_tournament_is_the_parent() -> None:
    strategy = FewMembers(setting())
    for number in range(6):
        strategy.members.append(Member([Turn("odd", str(number))], number / 10))
    parents = {strategy._parent().reward for _ in range(60)}
    assert parents <= {0.2, 0.3, 0.4, 0.5}  # the two worst never win among three
    assert 0.5 in parents


def test_a_candidate_without_a_way_is_no_parent() -> None:
    strategy = FewMembers(setting())
    strategy.tell(("from", "another space"), scored(1.0))
    assert not strategy.members


# beam -------------------------------------------------------------------------------------------


def test_the_next_level_are_the_children_of_the_best_state() -> None:
    strategy = NarrowBeam(setting(Tree((3, 3, 3))))
    while len(strategy.level[0].state) < 2:
        asked(strategy, 1, lambda leaf: scored(float(leaf[0] == "0b")))
    assert {ray.state[0] for ray in strategy.level} == {"0b"}


def test_a_beam_starts_again_twice_as_wide() -> None:
    strategy = NarrowBeam(setting())
    asked(strategy, 40)
    assert strategy.width > 1
    assert strategy.width & (strategy.width - 1) == 0


def test_a_level_waits_for_those_in_flight_with_a_few_rollouts_more() -> None:
    strategy = NarrowBeam(setting(Tree((6, 6, 6))))
    for _ in range(4):
        strategy.ask()
    assert [ray.state for ray in strategy.level] == [()]
    assert strategy.level[0].rollouts == 4
    waited = NarrowBeam(setting(Tree((6, 6, 6))))
    asked(waited, 4)
    assert len(waited.level[0].state) == 1


def test_a_state_known_from_an_earlier_run_needs_no_rollouts() -> None:
    strategy = NarrowBeam(setting(Tree((3, 3, 3))))
    for first in ("0a", "0b", "0c"):
        for last in ("2a", "2b"):
            strategy.tell((first, "1a", last), scored(float(first == "0b")))
    assert strategy.ask()[0] == "0b"
    assert {ray.state[0] for ray in strategy.level} == {"0b"}
    assert strategy.records[("0b", "1a")].told == 2


# both -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [OneTry, NarrowBeam])
@pytest.mark.parametrize("space", [Tree((5, 5, 5)), Subsets(8, 4)])
def test_nothing_is_left_out_where_chance_brings_nothing_new(
    make: Callable[[Setting], Any], space: Any
) -> None:
    count = 125 if isinstance(space, Tree) else 70
    assert len(set(asked(make(setting(space)), 1_000))) == count
